"""Post-processing: decoding, NMS, and boxes in the original image."""

import json

import keras
import numpy as np
import pytest

from cspdarknet.yolox import postprocess
from cspdarknet.yolox.postprocess import DecodeBoxes, NonMaxSuppression, RestoreBoxes
from support import to_numpy


@pytest.mark.one_backend
def test_decoded_boxes_are_corners_and_scores_are_products():
    """One anchor point of stride 32, by hand."""
    outputs = {
        "boxes": np.array([[[0.5, 0.5, np.log(0.5), 0]]], "float32"),
        "objectness": np.zeros((1, 1, 1), "float32"),
        "classes": np.array([[[0, np.log(3)]]], "float32"),
    }
    boxes, scores = DecodeBoxes(32, (32,))(
        {name: keras.ops.convert_to_tensor(value) for name, value in outputs.items()}
    )
    np.testing.assert_allclose(to_numpy(boxes), [[[8, 0, 24, 32]]], rtol=1e-6)
    np.testing.assert_allclose(to_numpy(scores), [[[0.25, 0.375]]], rtol=1e-6)


def greedy_nms(boxes, scores, score_threshold, iou_threshold, options):
    """NMS as a plain loop over the boxes in descending order of their scores."""
    classes, best = scores.argmax(axis=1), scores.max(axis=1)
    wanted = options.get("classes") or range(scores.shape[1])
    candidates = np.flatnonzero((best >= score_threshold) & np.isin(classes, wanted))
    kept = []
    for i in sorted(candidates, key=lambda i: -best[i]):
        for j in kept:
            if classes[i] == classes[j] or options.get("class_agnostic_nms"):
                start = np.maximum(boxes[i, :2], boxes[j, :2])
                end = np.minimum(boxes[i, 2:], boxes[j, 2:])
                intersection = np.prod(np.maximum(end - start, 0))
                areas = [np.prod(boxes[k, 2:] - boxes[k, :2]) for k in (i, j)]
                if intersection / (sum(areas) - intersection) > iou_threshold:
                    break
        else:
            kept.append(i)
    limit = options.get("max_detections_per_class") or len(kept)
    counts = [sum(classes[j] == classes[i] for j in kept[:n]) for n, i in enumerate(kept)]
    return [i for i, count in zip(kept, counts, strict=True) if count < limit]


OPTIONS = (
    {},
    {"classes": [2]},
    {"classes": [0, 2]},
    {"class_agnostic_nms": True},
    {"max_detections_per_class": 3},
    {"class_agnostic_nms": True, "classes": [0, 1]},
    {"class_agnostic_nms": True, "max_detections_per_class": 2},
    {"classes": [1, 2], "max_detections_per_class": 1},
)


@pytest.mark.parametrize("most", [5, 60])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_nms_is_greedy(options, most):
    rng = np.random.default_rng(len(str(options)))
    corners = rng.uniform(0, 60, (2, 200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (2, 200, 2))], axis=-1)
    scores = rng.uniform(0, 1, (2, 200, 3))
    scores[1, 3:] *= 0.3  # the second image has fewer detections than the first
    layer = NonMaxSuppression(0.4, 0.5, most, **options)
    outputs = layer(boxes.astype("float32"), scores.astype("float32"))
    outputs = {name: to_numpy(value) for name, value in outputs.items()}
    for i in range(2):
        kept = greedy_nms(boxes[i], scores[i], 0.4, 0.5, options)[:most]
        count = len(kept)
        assert outputs["num_detections"][i] == count
        np.testing.assert_allclose(outputs["boxes"][i, :count], boxes[i, kept], rtol=1e-6)
        np.testing.assert_array_equal(outputs["classes"][i, :count], scores[i, kept].argmax(axis=1))
        np.testing.assert_allclose(
            outputs["confidence"][i, :count], scores[i, kept].max(axis=1), rtol=1e-6
        )
        for name in ("boxes", "classes", "confidence"):
            assert (outputs[name][i, count:] == -1).all()


@pytest.mark.one_backend
def test_a_layer_is_rebuilt_with_its_options():
    options = {"classes": (0, 2), "class_agnostic_nms": True, "max_detections_per_class": 2}
    config = NonMaxSuppression(0.4, 0.5, 9, **options).get_config()
    again = NonMaxSuppression.from_config(json.loads(json.dumps(config)))
    assert {name: getattr(again, name) for name in options} == options
    earlier = {name: value for name, value in config.items() if name not in options}
    assert NonMaxSuppression.from_config(earlier).classes is None


@pytest.mark.one_backend
def test_a_complete_class_still_drops_boxes_of_others():
    """The limit of a class holds after NMS, in class-agnostic NMS, too."""
    boxes = np.array([[[0, 0, 9, 9], [50, 0, 59, 9], [50, 0, 59, 8], [80, 0, 89, 9]]])
    scores = np.array([[[0.9, 0], [0.8, 0], [0, 0.7], [0, 0.6]]])
    layer = NonMaxSuppression(0.1, 0.5, 4, class_agnostic_nms=True, max_detections_per_class=1)
    outputs = run_nms(layer, boxes, scores)
    np.testing.assert_allclose(outputs["confidence"], [[0.9, 0.6, -1, -1]], rtol=1e-6)


def run_nms(layer, boxes, scores):
    outputs = layer(boxes.astype("float32"), scores.astype("float32"))
    return {name: to_numpy(value) for name, value in outputs.items()}


def test_thresholds_of_classes_filter_the_detections():
    """A box below the threshold of its class has no effect: not on other boxes, nor on the rest."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (1, 200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (1, 200, 2))], axis=-1)
    scores = rng.uniform(0, 1, (1, 200, 3))
    thresholds = (0.5, 0.9, 0.85)
    layer = NonMaxSuppression(thresholds, 0.5, 90)
    outputs = run_nms(layer, boxes, scores)
    low = run_nms(NonMaxSuppression(0.0, 0.5, 200), boxes, scores)
    limits = np.array(thresholds, "float32")[low["classes"][0]]
    kept = np.flatnonzero((low["classes"][0] >= 0) & (low["confidence"][0] >= limits))
    assert outputs["num_detections"][0] == len(kept) < 90
    assert set(low["classes"][0, kept]) == {0, 1, 2}
    for name in ("boxes", "classes", "confidence"):
        np.testing.assert_array_equal(outputs[name][0, : len(kept)], low[name][0, kept])
    again = NonMaxSuppression.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.score_threshold == thresholds


@pytest.mark.one_backend
def test_boxes_below_their_threshold_take_no_place(monkeypatch):
    """Neither of the candidates, nor of the detections."""
    monkeypatch.setattr(postprocess, "MAX_CANDIDATES", 1)
    boxes = np.array([[[0, 0, 10, 10], [50, 50, 60, 60]]])
    scores = np.array([[[0.8, 0], [0, 0.3]]])
    outputs = run_nms(NonMaxSuppression((0.9, 0.2), 0.5, 1), boxes, scores)
    assert outputs["classes"].tolist() == [[1]]


@pytest.mark.one_backend
def test_there_is_a_threshold_for_each_class():
    boxes, scores = keras.KerasTensor((None, 9, 4)), keras.KerasTensor((None, 9, 3))
    with pytest.raises(ValueError, match="each of the 3 classes"):
        NonMaxSuppression((0.5, 0.5), 0.5, 5)(boxes, scores)


@pytest.mark.one_backend
def test_both_thresholds_are_inclusive():
    """A score of just the threshold is kept, and so is an IoU of just the threshold."""
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60]]], "float32")
    scores = np.array([[[0.9], [0.8], [0.5]]], "float32")
    for iou_threshold, count in ((0.5, 3), (0.49, 2)):
        outputs = NonMaxSuppression(0.5, iou_threshold, 5)(boxes, scores)
        assert to_numpy(outputs["num_detections"]).tolist() == [count]
    outputs = NonMaxSuppression(0.51, 0.5, 5)(boxes, scores)
    assert to_numpy(outputs["num_detections"]).tolist() == [2]


@pytest.mark.one_backend
def test_boxes_of_two_classes_do_not_compete():
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 10]]], "float32")
    scores = np.array([[[0.9, 0.1], [0.1, 0.8]]], "float32")
    outputs = NonMaxSuppression(0.3, 0.5, 5)(boxes, scores)
    assert to_numpy(outputs["classes"])[0].tolist() == [0, 1, -1, -1, -1]


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("box_format", "expected"),
    [
        ("xyxy", [20, 40, 60, 120]),
        ("xywh", [20, 40, 40, 80]),
        ("rel_xyxy", [0.1, 0.4, 0.3, 1.2]),
        ("center_yxhw", [80, 40, 80, 40]),
    ],
)
def test_boxes_are_restored_to_the_image(box_format, expected):
    """An image of 100 x 200 pixels in a square of 50: the ratio is 1/4."""
    boxes = np.array([[[5, 10, 15, 30], [-1, -1, -1, -1]]], "float32")
    layer = RestoreBoxes(50, box_format)
    restored = to_numpy(layer(boxes, np.array([[100, 200]], "float32")))
    np.testing.assert_allclose(restored[0, 0], expected, rtol=1e-6)
    assert (restored[0, 1] == -1).all()
    assert RestoreBoxes.from_config(layer.get_config()).bounding_box_format == box_format
