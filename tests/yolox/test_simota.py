"""SimOTA label assignment: its rules hold for any predictions and ground truth."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings

from cspdarknet.yolox.anchors import anchor_grid, decode_boxes
from cspdarknet.yolox.simota import CENTER_RADIUS, MAX_ANCHORS, assign
from support import to_numpy
from yolox_examples import ANCHORS, BATCH, CLASSES, SIZE, STRIDES, examples


@settings(max_examples=60)
@given(examples())
def test_assignments_keep_their_rules(example):
    outputs, boxes, classes = example
    classes = np.where((classes < CLASSES) & np.isfinite(boxes).all(axis=-1), classes, -1)
    boxes = np.nan_to_num(boxes)
    grid, strides = anchor_grid(SIZE, SIZE, STRIDES)
    ground_truth = (boxes, classes, grid, strides)
    predicted = decode_boxes(keras.ops.convert_to_tensor(outputs["boxes"]), grid, strides)
    assignment = assign(predicted, outputs["objectness"], outputs["classes"], *ground_truth)
    positive, matched, iou = (to_numpy(value) for value in assignment)
    assert ((iou >= 0) & (iou <= 1.001)).all()
    assert (iou[~positive] == 0).all()
    centers = (to_numpy(grid) + 0.5) * to_numpy(strides)
    for image in range(BATCH):
        valid = classes[image] >= 0
        near = np.array(
            [
                (np.abs(centers - box[:2]) < CENTER_RADIUS * to_numpy(strides)).all(axis=1)
                for box in boxes[image]
            ]
        )
        candidates = near[valid].any(axis=0)
        assert not (positive[image] & ~candidates).any()
        objects = matched[image][positive[image]]
        assert valid[objects].all()
        # An object gets 1 to 10 anchor points; those that two objects claim may be added to them.
        if valid.sum() == 1:
            assert len(objects) <= MAX_ANCHORS
            assert (len(objects) > 0) == candidates.any()


def test_predicted_boxes_with_nan_are_no_problem():
    rng = np.random.default_rng(0)
    grid, strides = anchor_grid(SIZE, SIZE, STRIDES)
    boxes = rng.normal(size=(1, ANCHORS, 4)).astype("float32") * 10 + 30
    boxes[0, 5] = np.nan
    logits = rng.normal(size=(1, ANCHORS, CLASSES)).astype("float32")
    gt_boxes, gt_classes = np.array([[[20.0, 20, 10, 10]]], "float32"), np.zeros((1, 1), "int32")
    assignment = assign(boxes, logits[..., :1], logits, gt_boxes, gt_classes, grid, strides)
    assert np.isfinite(to_numpy(assignment.iou)).all()
    assert to_numpy(assignment.positive).any()


def single_level(boxes, classes, gt_boxes, gt_classes):
    """Assign the 16 anchor points of a 4 x 4 level of stride 8."""
    grid, strides = anchor_grid(32, 32, (8,))
    arrays = [np.asarray(x, "float32")[None] for x in (boxes, classes, gt_boxes)]
    objectness = np.zeros((1, 16, 1), "float32")
    ids = np.asarray([gt_classes], "int32")
    result = assign(arrays[0], objectness, arrays[1], arrays[2], ids, grid, strides)
    return [to_numpy(value)[0] for value in result]


@pytest.mark.one_backend
def test_the_sum_of_ious_is_the_number_of_anchor_points():
    """An object whose box two anchor points predict exactly gets these two."""
    boxes = np.tile([100.0, 100, 4, 4], (16, 1))
    boxes[[5, 6]] = [16, 16, 12, 12]
    positive, matched, iou = single_level(
        boxes, np.zeros((16, 2)), [[16, 16, 12, 12], [0, 0, 0, 0]], [1, -1]
    )
    assert np.flatnonzero(positive).tolist() == [5, 6]
    assert (matched[[5, 6]] == 0).all()
    np.testing.assert_allclose(iou[[5, 6]], 1, atol=1e-6)


@pytest.mark.one_backend
def test_an_object_gets_one_anchor_point_at_least():
    """No predicted box overlaps the object; the best class score decides."""
    boxes = np.tile([100.0, 100, 4, 4], (16, 1))
    classes = np.zeros((16, 2))
    classes[10, 0] = 3
    positive, _, iou = single_level(boxes, classes, [[16, 16, 12, 12]], [0])
    assert np.flatnonzero(positive).tolist() == [10]
    assert (iou == 0).all()


@pytest.mark.one_backend
@pytest.mark.parametrize("cheaper", [0, 1])
def test_an_anchor_point_of_two_objects_goes_to_the_cheaper_one(cheaper):
    """Both objects are at the same center; the class score of anchor point 5 decides."""
    boxes = np.tile([100.0, 100, 4, 4], (16, 1))
    boxes[5] = [12, 12, 8, 8]
    classes = np.zeros((16, 2))
    classes[5] = -5
    classes[5, cheaper] = 5
    positive, matched, _ = single_level(boxes, classes, [[12, 12, 8, 8]] * 2, [0, 1])
    assert positive[5]
    assert matched[5] == cheaper


@pytest.mark.one_backend
def test_a_small_object_gets_the_anchor_points_of_level_p2():
    """At stride 4, four predictions are on a box of five pixels; at the others, none is."""
    levels = (4, 8, 16, 32, 64)
    grid, strides = anchor_grid(SIZE, SIZE, levels)
    centers, first = to_numpy((grid + 0.5) * strides), (SIZE // 4) ** 2
    predicted = np.concatenate([centers, to_numpy(strides) * [1, 1]], axis=1)
    ground_truth = np.array([[[20.0, 20, 5, 5]]], "float32")
    is_near = (np.abs(centers - 20) < 4).all(axis=1) & (np.arange(len(centers)) < first)
    predicted[is_near] = ground_truth[0, 0]
    logits = np.zeros((1, len(centers), 1), "float32")
    boxes = predicted[None].astype("float32")
    assignment = assign(boxes, logits, logits, ground_truth, np.array([[0]]), grid, strides)
    positive = to_numpy(assignment.positive)[0]
    assert is_near.sum() == 4
    np.testing.assert_array_equal(positive, is_near)
