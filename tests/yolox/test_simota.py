"""Label assignment and losses hold up whatever comes in."""

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet.yolox.anchors import anchor_grid, decode_boxes, encode_boxes
from cspdarknet.yolox.losses import yolox_losses
from cspdarknet.yolox.simota import MOST, RADIUS, assign
from support import to_numpy

STRIDES = (8, 16, 32)
SIZE = 64
PLACES = 8 * 8 + 4 * 4 + 2 * 2
BATCH, OBJECTS, CLASSES = 2, 4, 3  # the same for all examples: compiled programs are kept


@st.composite
def examples(draw):
    """Predictions and boxes, many of them at the limits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.0, 1.0, 10.0, 1e4, 1e30]))
    predictions = {
        name: (scale * rng.normal(size=(BATCH, PLACES, n))).astype("float32")
        for name, n in (("boxes", 4), ("objectness", 1), ("classes", CLASSES))
    }
    spread = draw(st.sampled_from([1.0, 64.0, 1e3, 1e6]))
    boxes = rng.uniform(-0.2 * spread, 1.2 * spread, (BATCH, OBJECTS, 4))
    boxes[..., 2:] = rng.choice([0.0, 1e-6, 1.0, 20.0, 1e6], (BATCH, OBJECTS, 2))
    classes = rng.integers(-1, CLASSES, (BATCH, OBJECTS)).astype("int32")
    if draw(st.booleans()):
        boxes[:, 1:] = boxes[:, :1]  # the same box again and again
    if draw(st.booleans()):
        classes[0] = -1
    if draw(st.booleans()):
        boxes[:, -1, draw(st.integers(0, 3))] = draw(st.sampled_from([np.nan, np.inf, -np.inf, -5]))
        classes[1, -1] = draw(st.sampled_from([0, CLASSES, 1000]))
    return predictions, boxes.astype("float32"), classes


@settings(max_examples=60)
@given(examples())
def test_losses_are_finite_and_not_negative(example):
    predictions, boxes, classes = example
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in predictions.items()}
    parts = yolox_losses(tensors, boxes, classes, (SIZE, SIZE), STRIDES)
    for name, value in parts.items():
        value = float(to_numpy(value))
        assert np.isfinite(value), name
        assert value >= 0, name
    if ((classes < 0) | (classes >= CLASSES)).all():
        assert float(parts["box"]) == float(parts["class"]) == float(parts["l1"]) == 0


@settings(max_examples=60)
@given(examples())
def test_assignments_keep_their_rules(example):
    predictions, boxes, classes = example
    classes = np.where((classes < CLASSES) & np.isfinite(boxes).all(axis=-1), classes, -1)
    boxes = np.nan_to_num(boxes)
    grid, strides = anchor_grid(SIZE, SIZE, STRIDES)
    raw = keras.ops.convert_to_tensor(predictions["boxes"])
    rest = (predictions["objectness"], predictions["classes"], boxes, classes, grid, strides)
    found = assign(decode_boxes(raw, grid, strides), *rest)
    positive, matched, iou = (to_numpy(value) for value in found)
    assert ((iou >= 0) & (iou <= 1.001)).all()
    assert (iou[~positive] == 0).all()
    centers = (to_numpy(grid) + 0.5) * to_numpy(strides)
    for image in range(BATCH):
        valid = classes[image] >= 0
        near = np.array(
            [
                (np.abs(centers - box[:2]) < RADIUS * to_numpy(strides)).all(axis=1)
                for box in boxes[image]
            ]
        )
        candidates = near[valid].any(axis=0)
        assert not (positive[image] & ~candidates).any()
        winners = matched[image][positive[image]]
        assert valid[winners].all()
        # An object gets 1 to 10 places; others that two want may come to it on top.
        if valid.sum() == 1:
            assert len(winners) <= MOST
            assert (len(winners) > 0) == candidates.any()


def test_predictions_that_are_no_numbers_get_no_places_of_their_own():
    rng = np.random.default_rng(0)
    grid, strides = anchor_grid(SIZE, SIZE, STRIDES)
    boxes = rng.normal(size=(1, PLACES, 4)).astype("float32") * 10 + 30
    boxes[0, 5] = np.nan
    logits = rng.normal(size=(1, PLACES, CLASSES)).astype("float32")
    truth = np.array([[[20.0, 20, 10, 10]]], "float32")
    found = assign(boxes, logits[..., :1], logits, truth, np.zeros((1, 1), "int32"), grid, strides)
    assert np.isfinite(to_numpy(found.iou)).all()
    assert to_numpy(found.positive).any()


def test_boxes_are_decoded_as_they_are_encoded():
    rng = np.random.default_rng(0)
    grid, strides = anchor_grid(SIZE, 2 * SIZE, STRIDES)
    boxes = rng.uniform(1, 60, (1, 2 * PLACES, 4)).astype("float32")
    back = decode_boxes(
        encode_boxes(keras.ops.convert_to_tensor(boxes), grid, strides), grid, strides
    )
    np.testing.assert_allclose(to_numpy(back), boxes, rtol=1e-4, atol=1e-4)
