"""Classes, class-agnostic NMS and limits of classes: the same detections in every runtime."""

import numpy as np
import pytest

from cspdarknet import Predictor
from cspdarknet.detections import DetectionOptions
from cspdarknet.export import export
from cspdarknet.models import YOLOXDetector

pytestmark = pytest.mark.one_backend

LOW = {"score_threshold": 0.002, "max_detections": 40}
CHOICES = [
    {"classes": ["WBC", "Platelets"]},
    {"class_agnostic_nms": True, "iou_threshold": 0.2},
    {"max_detections_per_class": 3},
    {"classes": [0, 1], "class_agnostic_nms": True, "max_detections_per_class": 5},
]


@pytest.fixture(scope="module")
def detector():
    return YOLOXDetector.from_preset("yolox_nano_bccd", image_size=96)


@pytest.fixture(scope="module")
def images():
    """Smooth noise, in which a detector with a low threshold sees something."""
    coarse = np.random.default_rng(1).uniform(0, 255, (2, 9, 12, 3))
    noisy = coarse.repeat(8, axis=1).repeat(8, axis=2)
    return list(noisy.astype("uint8"))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_each_runtime_detects_the_same(detector, images, choice, runtime, tmp_path):
    pytest.importorskip(runtime)
    options = DetectionOptions(**LOW, **choice)
    predictors = [
        Predictor(detector, runtime="keras", options=options),
        Predictor(detector, runtime=runtime, options=options),
    ]
    file = tmp_path / ("a.onnx" if runtime == "onnxruntime" else "a.xml")
    export(detector, file, options=options)
    predictors.append(Predictor(file, runtime=runtime))
    expected, *others = (predictor(images) for predictor in predictors)
    assert min(map(len, expected)) > 1
    for detections in others:
        for found, known in zip(detections, expected, strict=True):
            np.testing.assert_array_equal(found.class_id, known.class_id)
            np.testing.assert_allclose(found.confidence, known.confidence, atol=1e-5)
            np.testing.assert_allclose(found.xyxy, known.xyxy, atol=1e-3 * 96)


def test_chosen_classes_are_the_others_left_out(detector, images):
    """The ids and names of classes stay, and no box of a chosen class changes."""
    options = {"score_threshold": 0.002, "max_detections": 300}
    everything = Predictor(detector, runtime="keras", options=DetectionOptions(**options))(images)
    chosen = DetectionOptions(**options, classes=["WBC"])
    for found, known in zip(
        Predictor(detector, runtime="keras", options=chosen)(images), everything, strict=True
    ):
        expected = known[known.class_name == "WBC"]
        assert 0 < len(expected) < len(known)
        np.testing.assert_array_equal(found.xyxy, expected.xyxy)
        assert set(found.class_id) == {known.class_names.index("WBC")}
        assert found.class_names == known.class_names


def test_a_choice_of_classes_is_fixed_in_a_file(detector, tmp_path):
    pytest.importorskip("onnxruntime")
    export(detector, tmp_path / "a.onnx", options=DetectionOptions(**LOW))
    with pytest.raises(ValueError, match="`options` must be left out for an exported file"):
        Predictor(tmp_path / "a.onnx", options=DetectionOptions(classes=[0]))
    with pytest.raises(ValueError, match="classes of the model: Platelets, RBC, WBC"):
        Predictor(detector, runtime="keras", options=DetectionOptions(classes=["cell"]))
