"""Comparisons of two models, of which what each predicts is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspdarknet.analysis import (
    ClassificationComparison,
    Contingency,
    DetectionComparison,
    compare_models,
)
from cspdarknet.analysis import compare as module
from cspdarknet.data import ClassificationDataset, DetectionDataset
from cspdarknet.detections import Detections
from cspdarknet.evaluate import DetectionEvaluation
from cspdarknet.images import ImageError
from cspdarknet.model_info import ModelInfo

pytestmark = pytest.mark.one_backend
NAMES = ("cat", "dog")


class Known:
    """A stand-in for a `Predictor` whose results are known."""

    def __init__(self, results, task="classification", **info):
        self.results = results
        self.info = ModelInfo(task, class_names=NAMES, **info)
        self.class_names = NAMES

    def stream(self, images):
        for image, result in zip(images, self.results, strict=True):
            yield image, ImageError("damaged") if result is None else result


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(4)]
    for i, path in enumerate(files):
        Image.new("RGB", (60, 40), (60 * i, 0, 0)).save(path)
    return files


@pytest.fixture
def compared(monkeypatch):
    """Compares known results."""

    def compare(a, b, data, **settings):
        for name in ("Predictor", "evaluation_predictor"):
            monkeypatch.setattr(module, name, lambda model, **_: model)
        return compare_models(a, b, data, **settings)

    return compare


def probabilities(*dogs):
    return [None if dog is None else np.array([1 - dog, dog], "float32") for dog in dogs]


def test_classifiers(paths, compared):
    dataset = ClassificationDataset(NAMES, tuple(paths), np.array([0, 1, 1, 0]))
    a, b = probabilities(0.1, 0.9, 0.8, 0.6), probabilities(0.2, 0.3, 0.9, 0.1)
    calls = []

    def progress(label, total):
        calls.append((label, total))
        return calls.append

    comparison = compared(Known(a), Known(b), dataset, progress=progress)
    assert calls == [("evaluating", 8), *[1] * 8]
    assert isinstance(comparison, ClassificationComparison)
    assert comparison.agreement == 0.5
    assert comparison.contingency == Contingency(both=2, only_a=1, only_b=1, neither=0)
    assert comparison.differences == [1, 3]  # the highest confidences first
    assert [m["accuracy"] for m in comparison.metrics] == [0.75, 0.75]
    rows = comparison.rows()
    assert rows[1] == {
        **{"file": str(paths[1]), "class": "dog", "predicted_a": "dog", "confidence_a": 0.9},
        **{"predicted_b": "cat", "confidence_b": 0.7},
    }
    assert comparison.to_csv().count("\n") == 5
    assert comparison.to_json()["images_right"]["mcnemar_p"] == 1.0
    assert comparison.sheet().size == (2 * 210 + 10, 133 + 4 * 18 + 20)


def test_images_that_one_model_cannot_read_are_left_out(paths, compared):
    dataset = ClassificationDataset(NAMES, tuple(paths), np.array([0, 1, 1, 0]))
    a, b = probabilities(None, 0.9, 0.8, 0.6), probabilities(0.2, 0.9, None, 0.1)
    comparison = compared(Known(a), Known(b), dataset)
    assert comparison.paths == (paths[1], paths[3])
    assert comparison.contingency == Contingency(both=1, only_a=0, only_b=1, neither=0)
    assert set(comparison.errors) == {paths[0], paths[2]}


def test_agreement_without_labels(paths, compared):
    a, b = probabilities(0.1, 0.9, 0.8, None), probabilities(0.2, 0.3, 0.9, 0.1)
    comparison = compared(Known(a), Known(b), paths)
    assert comparison.agreement == pytest.approx(2 / 3)
    assert comparison.contingency is None
    assert comparison.metrics == [{}, {}]
    assert comparison.rows()[0]["class"] == ""
    same = compared(Known(a), Known(a), paths)
    assert same.sheet() is None


def test_images_of_the_same_name(tmp_path, compared):
    files = [tmp_path / name / "1.png" for name in "ab"]
    for path in files:
        path.parent.mkdir()
        Image.new("RGB", (60, 40)).save(path)
    a = probabilities(0.1, 0.9)
    assert compared(Known(a), Known(a), files).paths == tuple(files)


def boxes(*rows, size=(40, 60)):
    table = np.array(rows, "float64").reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 1], table[:, 0], size, NAMES)


CAT, DOG = (10, 10, 30, 30), (35, 5, 55, 35)


@pytest.fixture
def dataset(paths):
    truth = [[CAT, DOG], [CAT], [], [DOG]]
    labels = [np.array([0, 1]), np.array([0]), np.zeros(0, int), np.array([1])]
    return DetectionDataset(
        NAMES,
        tuple(paths),
        tuple(np.array(rows, "float32").reshape(-1, 4) for rows in truth),
        tuple(labels),
        tuple(np.zeros(len(rows), bool) for rows in truth),
    )


def test_detectors(dataset, compared):
    pytest.importorskip("pycocotools")
    a = [boxes((0, 0.9, *CAT), (1, 0.9, *DOG)), boxes((0, 0.9, *CAT)), boxes(), boxes()]
    b = [boxes((0, 0.9, *CAT)), boxes((0, 0.9, *CAT)), boxes((1, 0.9, *CAT)), boxes((1, 0.9, *DOG))]
    comparison = compared(Known(a, "detection"), Known(b, "detection"), dataset)
    assert isinstance(comparison, DetectionComparison)
    assert comparison.contingency == Contingency(both=2, only_a=1, only_b=1, neither=0)
    assert comparison.agreement == pytest.approx(4 / 7)
    assert comparison.unmatched == [1, 0, 1, 1]
    assert comparison.differences == [0, 2, 3]
    assert comparison.metrics[0]["map"] == pytest.approx((1 + 51 / 101) / 2)
    assert comparison.rows()[0] == {
        **{"file": str(dataset.paths[0]), "detections_a": 2, "detections_b": 1, "in_both": 1},
        **{"in_one": 1, "boxes": 2, "found_by_both": 1, "found_by_a": 2, "found_by_b": 1},
    }
    assert comparison.sheet().width == 2 * 614 + 10
    assert comparison.to_json()["boxes_found"]["only_a"] == 1
    assert comparison.notes == ()


def test_the_score_threshold_of_an_exported_file_is_that_of_both(dataset, compared):
    pytest.importorskip("pycocotools")
    sure = [boxes((0, 0.9, *CAT)), boxes(), boxes(), boxes()]
    unsure = [boxes((1, 0.2, *DOG)), boxes((0, 0.1, *CAT)), boxes(), boxes()]
    both = [Detections(*_joined(x, y), (40, 60), NAMES) for x, y in zip(sure, unsure, strict=True)]
    model = Known(both, "detection", score_threshold=0.001, max_detections=300)
    export = Known(sure, "detection", score_threshold=0.3, max_detections=100)
    comparison = compared(model, export, dataset)
    assert comparison.metrics[0] == comparison.metrics[1]
    assert "below 0.3" in comparison.notes[0]


def _joined(x, y):
    return (
        np.concatenate([getattr(x, n), getattr(y, n)]) for n in ("xyxy", "confidence", "class_id")
    )


def test_detections_without_labels(paths, compared):
    a = [boxes((0, 0.9, *CAT)), boxes(), boxes(), boxes()]
    b = [boxes((1, 0.9, *CAT)), boxes(), boxes(), boxes()]
    comparison = compared(Known(a, "detection"), Known(b, "detection"), paths)
    assert (comparison.agreement, comparison.contingency) == (0.0, None)
    assert comparison.sheet() is not None
    empty = compared(Known(a[1:], "detection"), Known(b[1:], "detection"), paths[1:])
    assert empty.agreement == 1.0
    assert empty.notes == ()
    models = [Known(a, "detection", score_threshold=score) for score in (0.01, 0.3)]
    assert "0.01 (a Known) and 0.3 (a Known)" in compared(*models, paths).notes[0]


def test_models_that_cannot_be_compared(paths, compared):
    results = probabilities(0, 0, 0, 0)
    other = Known(results)
    other.info = replace(other.info, class_names=("cat", "cow"))
    with pytest.raises(ValueError, match=r"same classes.*cat, dog; and cat, cow"):
        compared(Known(results), other, paths)
    with pytest.raises(ValueError, match="same task"):
        compared(Known(results), Known([], "detection"), paths)
    with pytest.raises(ValueError, match="Received: models for regression"):
        compared(Known([], "regression"), Known([], "regression"), paths)
    with pytest.raises(ValueError, match="one class per image"):
        compared(Known(results, labels="multi"), Known(results), paths)
    with pytest.raises(ValueError, match="None of the images"):
        compared(Known([None]), Known([None]), paths[:1])
    numbered = Known(results)
    numbered.info = replace(numbered.info, class_names=("class 0", "class 1"))
    assert compared(numbered, Known(results), paths).class_names == NAMES


def test_the_evaluation_is_that_of_evaluate(dataset):
    pytest.importorskip("pycocotools")
    detections = tuple(boxes((0, 0.9, *CAT)) for _ in range(4))
    evaluation = DetectionEvaluation(dataset, detections, {})
    predictors = [Known([], "detection")] * 2
    comparison = module._detection_comparison([evaluation] * 2, predictors, ("a", "b"))
    assert comparison.metrics[0]["map"] == evaluation.average_precision.map
    assert Path(comparison.paths[0]) == dataset.paths[0]
