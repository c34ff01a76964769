"""What both evaluations have in common: unreadable images, and models that do not fit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import ClassificationDataset
from cspdarknet.detections import DetectionOptions
from cspdarknet.evaluate import evaluate_classifier, evaluate_detector, stored_score_threshold
from cspdarknet.export import export
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.config import LAST
from fake_detector import FakePredictor
from support import TINY_NET

pytestmark = pytest.mark.one_backend

NAMES = ("a", "b")


@pytest.fixture(scope="module")
def backbone():
    return CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)


@pytest.fixture(scope="module")
def classifier(backbone):
    return ImageClassifier(backbone, 2, class_names=NAMES, image_size=32)


def dataset_of(*paths, names=NAMES):
    return ClassificationDataset(names, tuple(paths), np.zeros(len(paths), "int64"))


def test_unreadable_images_are_left_out_and_named(classifier, tmp_path):
    bad, good = tmp_path / "bad.jpg", tmp_path / "good.png"
    bad.write_bytes(b"")
    Image.new("RGB", (20, 20)).save(good)
    evaluation = evaluate_classifier(classifier, dataset_of(bad, good))
    assert evaluation.dataset.paths == (good,)
    assert len(evaluation.probabilities) == 1
    assert list(evaluation.errors) == [bad]
    assert "bad.jpg" in evaluation.errors[bad]
    with pytest.raises(ValueError, match=r"None of the images can be read: .*bad\.jpg"):
        evaluate_classifier(classifier, dataset_of(bad))
    with pytest.raises(ValueError, match="the dataset is empty"):
        evaluate_classifier(classifier, dataset_of())


def test_models_for_other_tasks_are_refused(backbone):
    dataset = dataset_of(Path("a.png"))
    for model, task in ((backbone, "features"), (FakePredictor(), "detection")):
        with pytest.raises(ValueError, match=f"must be for classification. Received: .* {task}"):
            evaluate_classifier(model, dataset)


def test_a_named_model_for_another_task_is_refused_before_it_is_run():
    with pytest.raises(ValueError, match=r"must be for detection\. Received: a model for classif"):
        evaluate_detector("csp_darknet_tiny_clothing", dataset_of(Path("a.png")))


def test_batch_sizes_are_checked(classifier):
    with pytest.raises(ValueError, match="`batch_size` must be"):
        evaluate_classifier(classifier, dataset_of(Path("a.png")), batch_size=0)


def test_models_of_other_classes_are_refused(backbone, classifier, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    for names in (("b", "a"), ("a", "b", "c"), ("a",)):
        with pytest.raises(ValueError, match=rf"Received: {', '.join(names)}; the model has a, b"):
            evaluate_classifier(classifier, dataset_of(tmp_path / "a.png", names=names))
    unnamed = Predictor(ImageClassifier(backbone, 2, image_size=32), runtime="keras")
    assert evaluate_classifier(unnamed, dataset_of(tmp_path / "a.png")).accuracy in (0, 1)
    with pytest.raises(ValueError, match="the model has class 0, class 1"):
        evaluate_classifier(unnamed, dataset_of(tmp_path / "a.png", names=("a",)))


def test_the_score_thresholds_that_a_detector_has(tmp_path):
    """Those of its preset, the default of a weight file, those of an exported file."""
    pytest.importorskip("onnx")
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    detector = YOLOXDetector(backbone, 2, image_size=32, score_threshold=(0.5, 0.125))
    detector.save_to_preset(tmp_path / "run/best")
    (tmp_path / "run/run.json").write_text("{}")
    detector.score_threshold = 0.75
    detector.save_to_preset(tmp_path / "run/last")
    assert stored_score_threshold(tmp_path / "run") == (0.5, 0.125)
    assert stored_score_threshold(tmp_path / "run", LAST) == 0.75
    detector.save_weights(tmp_path / "a.weights.h5")
    assert stored_score_threshold(tmp_path / "a.weights.h5") == 0.25
    export(detector, tmp_path / "a.onnx", options=DetectionOptions(score_threshold=0.375))
    assert stored_score_threshold(tmp_path / "a.onnx") == 0.375
