"""Conversion of letterbox, box decoding and NMS to ONNX."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from cspdarknet.export import build_onnx
from cspdarknet.export.onnx import detection as onnx_detection
from cspdarknet.export.onnx.model import onnx_from_graph
from cspdarknet.model_info import ModelInfo
from cspdarknet.yolox import postprocess
from cspdarknet.yolox.letterbox import fitted_size, letterbox
from cspdarknet.yolox.letterbox_layer import Letterbox
from cspdarknet.yolox.postprocess import NonMaxSuppression, RestoreBoxes

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend


def assert_same_detections(outputs, expected, box_tolerance):
    np.testing.assert_array_equal(outputs["num_detections"], expected["num_detections"])
    np.testing.assert_array_equal(outputs["classes"], expected["classes"])
    np.testing.assert_allclose(outputs["confidence"], expected["confidence"], atol=1e-5)
    np.testing.assert_allclose(outputs["boxes"], expected["boxes"], atol=box_tolerance)


def test_decoding_and_nms(run_onnx, noise, detector, low):
    squares = noise(96, 96)
    inputs = {"images": squares.astype("float32"), "image_sizes": np.full((2, 2), 96, "float32")}
    expected = detector.inference_model(low, letterboxed=True).predict_on_batch(inputs)
    assert expected["num_detections"].min() > 5
    assert_same_detections(run_onnx(build_onnx(detector, options=low), squares), expected, 1e-2)


@pytest.mark.parametrize(("height", "width"), [(120, 160), (301, 97), (96, 96), (40, 700)])
def test_images_of_any_size_are_letterboxed_in_the_graph(
    run_onnx, noise, detector, low, height, width
):
    images = noise(height, width)
    expected = detector.predict(images, options=low)
    assert expected["num_detections"].sum() > 2
    outputs = run_onnx(build_onnx(detector, letterbox=True, options=low), images)
    assert_same_detections(outputs, expected, 0.02)


@pytest.mark.parametrize("image_size", [(64, 128), (128, 96)])
def test_rectangles_are_letterboxed_in_the_graph(run_onnx, noise, detector, low, image_size):
    images, options = noise(100, 160), replace(low, image_size=image_size)
    expected = detector.predict(images, options=options)
    assert expected["num_detections"].sum() > 2
    outputs = run_onnx(build_onnx(detector, letterbox=True, options=options), images)
    assert_same_detections(outputs, expected, 0.02)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    num_anchors=st.integers(1, 60),
    num_classes=st.integers(1, 4),
    max_detections=st.integers(1, 80),
    score_threshold=st.sampled_from([0.0, 0.3, 0.5, (0.3, 0.5, 0.0, 1.0)]),
    iou_threshold=st.sampled_from([0.0, 0.45, 1.0]),
    classes=st.sampled_from([None, (0,), (0, 2)]),
    class_agnostic_nms=st.booleans(),
    max_detections_per_class=st.sampled_from([None, 1, 3, 100]),
)
def test_nms_is_that_of_the_keras_layer(
    run_onnxruntime,
    seed,
    num_anchors,
    num_classes,
    max_detections,
    score_threshold,
    iou_threshold,
    **options,
):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 20, (2, num_anchors, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 20, corners.shape)], -1)
    count = 2 * num_anchors * num_classes
    scores = rng.permutation(count).reshape(2, num_anchors, num_classes)
    scores = (scores / count).round(3).astype("float32")
    both = np.concatenate([boxes, scores], -1).astype("float32")
    if isinstance(score_threshold, tuple):
        score_threshold = score_threshold[:num_classes]
    layer = NonMaxSuppression(score_threshold, iou_threshold, max_detections, **options)
    x = keras.Input((num_anchors, 4 + num_classes), name="images")
    model = keras.Model(x, layer(*ops.split(x, [4], axis=-1)))
    expected = {name: ops.convert_to_numpy(value) for name, value in model(both).items()}
    outputs = run_onnxruntime(onnx_from_graph(model, ModelInfo("detection")), both)
    assert_same_detections(outputs, expected, 1e-5)


def test_letterbox_is_exact_but_for_some_sizes(run_onnxruntime):
    """The size of the resized image is computed in integers; some sizes differ by a pixel."""
    size, rng = 64, np.random.default_rng(0)
    x = keras.Input((None, None, 3), name="images")
    squares, sizes = Letterbox(size)(x)
    model = keras.Model(x, {"squares": squares, "sizes": sizes})
    graph = onnx_from_graph(model, ModelInfo("features"))
    num_other = 0
    for height, width in rng.integers(1, 300, (60, 2)).tolist():
        image = rng.integers(0, 256, (1, height, width, 3)).astype("uint8")
        longer = max(height, width)
        exact = max(1, height * size // longer), max(1, width * size // longer)
        if fitted_size(height, width, size)[:2] != exact:
            num_other += 1
            continue
        outputs = run_onnxruntime(graph, image.astype("float32"))
        np.testing.assert_array_equal(outputs["squares"][0], letterbox(image[0], size)[0])
        np.testing.assert_array_equal(outputs["sizes"], [[height, width]])
    assert num_other < 6


def test_an_iou_threshold_of_zero(run_onnx, noise):
    """OpenVINO takes 0 for another thing: one box of each class."""
    boxes = np.array([[0, 0, 4, 4], [1, 1, 5, 5], [10, 10, 14, 14]], "float32")
    scores = np.array([[0.9], [0.8], [0.7]], "float32")
    x = keras.Input((3, 5), name="images")
    model = keras.Model(x, NonMaxSuppression(0.1, 0.0, 3)(*ops.split(x, [4], axis=-1)))
    outputs = run_onnx(
        onnx_from_graph(model, ModelInfo("detection")), np.concatenate([boxes, scores], -1)[None]
    )
    np.testing.assert_allclose(outputs["confidence"], [[0.9, 0.7, -1]], atol=1e-6)


def test_thresholds_of_classes(run_onnx):
    """A score of just the threshold is kept, and a box below its own does not hide another."""
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 5], [20, 0, 24, 4], [40, 0, 44, 4]], "float32")
    scores = np.array([[0.7, 0.1], [0.2, 0.6], [0, 0.5], [0.8, 0.4]], "float32")
    x = keras.Input((4, 6), name="images")
    model = keras.Model(x, NonMaxSuppression((0.8, 0.5), 0.5, 4)(*ops.split(x, [4], axis=-1)))
    both = np.concatenate([boxes, scores], -1)[None]
    outputs = run_onnx(onnx_from_graph(model, ModelInfo("detection")), both)
    expected = {name: ops.convert_to_numpy(value) for name, value in model(both).items()}
    assert expected["classes"].tolist() == [[0, 1, 1, -1]]
    assert_same_detections(outputs, expected, 1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"classes": (1, 2)},
        {"class_agnostic_nms": True},
        {"max_detections_per_class": 2},
        {"class_agnostic_nms": True, "max_detections_per_class": 2, "classes": (0, 2)},
    ],
    ids=str,
)
def test_choices_of_results(run_onnx, options, monkeypatch):
    """Also where there are more anchor points than candidates."""
    for module in (postprocess, onnx_detection):
        monkeypatch.setattr(module, "MAX_CANDIDATES", 150)
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 60, (2, 200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, corners.shape)], -1)
    both = np.concatenate([boxes, rng.uniform(0, 1, (2, 200, 3))], -1).astype("float32")
    x = keras.Input((200, 7), name="images")
    layer = NonMaxSuppression(0.2, 0.5, 9, **options)
    model = keras.Model(x, layer(*ops.split(x, [4], axis=-1)))
    expected = {name: ops.convert_to_numpy(value) for name, value in model(both).items()}
    assert expected["num_detections"].min() > 3
    outputs = run_onnx(onnx_from_graph(model, ModelInfo("detection")), both)
    assert_same_detections(outputs, expected, 1e-5)


def test_boxes_of_another_format_are_refused():
    x = keras.Input((3, 6), name="images")
    boxes, sizes = ops.split(x, [4], axis=-1)
    model = keras.Model(x, {"boxes": RestoreBoxes(64, "xywh")(boxes, sizes)})
    with pytest.raises(ValueError, match="must be 'xyxy'"):
        onnx_from_graph(model, ModelInfo("detection"))
