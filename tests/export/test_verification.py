"""Comparison of exported outputs with those of the inference graph."""

import keras
import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.verification import Comparison, Reference, sample_images
from cspdarknet.model_info import ModelInfo
from support import needs_channels_first

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def reference(detector, low):
    graph, info = inference_graph(detector, options=low)
    return Reference(graph, sample_images(graph, info))


def _outputs(reference, score_factor=1.0):
    return {name: value.copy() for name, value in reference.outputs(score_factor).items()}


def test_equal_detections(reference):
    comparison = reference.compare(_outputs(reference))
    assert comparison.max_relative_error == 0
    assert comparison.num_matched == comparison.num_detections > 10
    assert comparison.detections_match
    count = comparison.num_matched
    assert str(comparison) == f"0.0e+00, {count} of {count} detections match"


def test_errors_of_boxes_are_relative_to_the_image_size(reference):
    outputs = _outputs(reference)
    outputs["boxes"] += 0.5
    comparison = reference.compare(outputs)
    assert comparison.max_relative_error == pytest.approx(0.5 / 96, rel=1e-3)
    assert comparison.detections_match


def test_errors_of_boxes_beyond_the_image_are_relative_to_their_size(reference, monkeypatch):
    expected = _outputs(reference)
    expected["boxes"][..., 3] = 960_000
    monkeypatch.setattr(reference, "outputs", lambda factor=1.0: expected)
    outputs = {**expected, "boxes": expected["boxes"] * np.float32(1 + 1e-6)}
    comparison = reference.compare(outputs)
    assert comparison.detections_match
    assert comparison.max_relative_error < 1e-4
    assert not reference.compare({**outputs, "boxes": expected["boxes"] * 1.01}).detections_match


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("boxes", lambda boxes: boxes * np.nan),
        ("boxes", lambda boxes: boxes + 50),
        ("classes", lambda classes: classes + 1),
        ("confidence", lambda confidence: confidence + 0.02),
        ("num_detections", lambda count: count * 2),
    ],
)
def test_other_detections_do_not_match(reference, name, change):
    outputs = _outputs(reference)
    outputs[name] = change(outputs[name])
    assert not reference.compare(outputs).detections_match


def test_int8_moves_boxes_by_a_part_of_their_size(detector, low):
    graph, info = inference_graph(detector, options=low)
    reference = Reference(graph, sample_images(graph, info), "int8")
    outputs = _outputs(reference)
    sides = outputs["boxes"][..., 2:] - outputs["boxes"][..., :2]
    outputs["boxes"][..., :2] += 0.1 * sides
    outputs["confidence"] = outputs["confidence"] + 0.1
    assert reference.compare(outputs).detections_match
    outputs["boxes"][..., :2] += 0.3 * sides
    assert not reference.compare(outputs).detections_match


def test_outputs_of_another_shape_are_refused(reference):
    outputs = _outputs(reference)
    outputs["confidence"] = outputs["confidence"][:, :-1]
    with pytest.raises(ValueError, match="'confidence' of shape"):
        reference.compare(outputs)


def test_nine_of_ten_detections_must_match():
    assert Comparison(0.0, 10, 10, 9).detections_match
    assert not Comparison(0.0, 10, 10, 8).detections_match
    assert Comparison(0.0, 5, 4, 4).detections_match
    assert not Comparison(0.0, 4, 3, 3).detections_match
    assert not Comparison(0.0, 0, 1, 0).detections_match
    assert Comparison(0.0, 0, 0, 0).detections_match
    assert Comparison(0.1).detections_match


@pytest.mark.parametrize("letterbox", [False, True])
def test_scaled_scores_are_around_the_threshold(detector, high, letterbox):
    """The detections are those of a lower threshold."""
    graph, info = inference_graph(detector, letterbox=letterbox, options=high)
    reference = Reference(graph, sample_images(graph, info))
    assert reference.compare(_outputs(reference)).num_detections == 0
    factor = reference.score_factor
    outputs = reference.outputs(factor)
    count = outputs["num_detections"]
    assert 0 < count.sum() < 2 * detector.max_detections
    confidence = outputs["confidence"]
    assert confidence[confidence >= 0].min() >= high.score_threshold
    lower, _ = inference_graph(
        detector,
        letterbox=letterbox,
        options=type(high)(score_threshold=high.score_threshold / factor),
    )
    expected = lower.predict_on_batch(sample_images(graph, info))
    np.testing.assert_array_equal(outputs["num_detections"], expected["num_detections"])
    np.testing.assert_allclose(outputs["boxes"], expected["boxes"], atol=1e-3)


def test_scaled_scores_are_around_the_thresholds_of_classes(detector):
    options = DetectionOptions((0.9, 0.95, 0.8))
    graph, info = inference_graph(detector, options=options)
    reference = Reference(graph, sample_images(graph, info))
    outputs = reference.outputs(reference.score_factor)
    assert 0 < outputs["num_detections"].sum() < 2 * detector.max_detections
    for class_id, threshold in enumerate(options.score_threshold):
        kept = outputs["confidence"][outputs["classes"] == class_id]
        assert kept.size
        assert kept.min() >= threshold


def test_scores_of_zero_cannot_be_scaled(detector, high):
    graph, info = inference_graph(detector, options=high)
    reference = Reference(graph, sample_images(graph, info))
    reference._values[1] *= 0
    assert reference.score_factor is None


def test_errors_of_other_outputs_are_relative_to_the_largest_value():
    x = keras.Input((8, 8, 3))
    graph = keras.Model(x, {"a": keras.layers.Rescaling(2.0)(x), "b": keras.layers.ReLU()(x)})
    images = np.ones((2, 8, 8, 3), "float32")
    reference = Reference(graph, images)
    comparison = reference.compare({"a": 2 * images, "b": images + 0.1})
    assert comparison.max_relative_error == pytest.approx(0.1, rel=1e-3)
    assert str(comparison) == "1.0e-01"
    assert np.isnan(reference.compare({"a": 2 * images, "b": images * np.nan}).max_relative_error)


def test_models_that_compute_nan_are_refused():
    x = keras.Input((8, 8, 3))
    graph = keras.Model(x, {"features": keras.layers.Rescaling(np.nan)(x)})
    with pytest.raises(ValueError, match="must be finite numbers"):
        Reference(graph, np.ones((1, 8, 8, 3), "float32"))


@pytest.mark.parametrize(
    ("shape", "data_format"),
    [
        ((None, None, 3), "channels_last"),
        ((64, 8, 3), "channels_last"),
        pytest.param((3, None, 40), "channels_first", marks=needs_channels_first),
    ],
)
def test_sample_images(shape, data_format):
    x = keras.Input(shape)
    graph = keras.Model(x, x)
    images = sample_images(graph, ModelInfo("features", data_format=data_format, inputs="uint8"))
    assert images.dtype == np.uint8
    assert images.shape == (2, *(160 if side is None else side for side in shape))
    assert images.std() > 40
