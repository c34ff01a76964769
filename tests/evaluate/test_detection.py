"""Evaluation of detectors."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="mAP needs pycocotools")
from cspdarknet.detections import DetectionOptions
from cspdarknet.evaluate import EVALUATION_OPTIONS, DetectionEvaluation, evaluate_detector
from cspdarknet.evaluate.matching import pairwise_iou
from cspdarknet.export import export
from cspdarknet.images import read_image
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from fake_detector import FakePredictor, save
from support import randomize

pytestmark = pytest.mark.one_backend


@pytest.fixture
def evaluation(dataset_of, detections_of):
    return DetectionEvaluation(
        dataset_of(
            [(0, 10, 10, 60, 60), (0, 100, 100, 180, 180), (1, 300, 50, 400, 200)],
            [(1, 20, 20, 60, 40), (0, 200, 200, 300, 300)],
            [],
            ignored=(np.zeros(3, bool), np.array([False, True]), np.zeros(0, bool)),
        ),
        (
            # A true positive; a box detected as class 1; a box that is missed at the threshold.
            detections_of(
                (0, 0.9, 10, 10, 60, 60),
                (1, 0.8, 100, 100, 180, 180),
                (1, 0.05, 300, 50, 400, 200),
            ),
            # A true positive; a detection in an ignored box.
            detections_of((1, 0.7, 20, 20, 60, 40), (0, 0.9, 210, 210, 250, 250)),
            # Two false positives.
            detections_of((1, 0.6, 20, 20, 60, 40), (0, 0.02, 0, 0, 9, 9)),
        ),
        {},
    )


def test_metrics_by_hand(evaluation):
    # From 0.03 to 0.05, class 0 has 1 of 2 boxes and no false positive, class 1 has 2 of 2 and 2
    # false positives: F1 is 2/3 for both. Below, class 0 has a false positive; above, class 1
    # misses a box.
    assert evaluation.score_threshold == pytest.approx(0.04)
    assert evaluation.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert evaluation.mistakes == [(1, 1), (0, 0), (0, 1)]
    a, b = evaluation.classes
    assert (a.boxes, a.true_positives, a.false_positives) == (2, 1, 0)
    assert (b.boxes, b.true_positives, b.false_positives) == (2, 2, 2)
    assert (a.precision, a.recall, b.precision, b.recall) == (1, 0.5, 0.5, 1)
    assert (a.f1, b.f1) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_chosen_one(noisy, seed):
    dataset, detections = noisy(seed)
    evaluation = DetectionEvaluation(dataset, detections, {})

    def mean_f1(threshold):
        f1 = []
        for class_id in range(2):
            correct = claimed = 0
            for boxes, labels, d in zip(dataset.boxes, dataset.labels, detections, strict=True):
                d = d[(d.confidence >= threshold) & (d.class_id == class_id)]
                claimed += len(d)
                free = [box for box, other in zip(boxes, labels, strict=True) if other == class_id]
                for i in np.argsort(-d.confidence):
                    ious = [pairwise_iou(d.xyxy[[i]], box[None])[0, 0] for box in free]
                    if ious and max(ious) >= 0.5:
                        free.pop(int(np.argmax(ious)))
                        correct += 1
            boxes = sum((labels == class_id).sum() for labels in dataset.labels)
            f1.append(2 * correct / (claimed + boxes))
        return np.mean(f1)

    best = mean_f1(evaluation.score_threshold)
    assert best == pytest.approx(np.mean([c.f1 for c in evaluation.classes]))
    assert best == pytest.approx(max(mean_f1(i / 100) for i in range(1, 100)))


def test_counts_add_up(noisy):
    dataset, detections = noisy(7)
    evaluation = DetectionEvaluation(dataset, detections, {})
    counts = evaluation.confusion
    np.testing.assert_array_equal(counts[:-1].sum(axis=1), dataset.counts)
    np.testing.assert_array_equal(
        counts[:, :-1].sum(axis=0), sum(d.counts(2) for d in evaluation.kept)
    )
    assert sum(missed for missed, _ in evaluation.mistakes) == sum(
        c.boxes - c.true_positives for c in evaluation.classes
    )


def test_the_counts_of_each_image(evaluation):
    """Ground truth, detections, matched, missed and false ones, at thresholds of the classes."""

    def counts(score_threshold=None):
        return [tuple(row.values())[1:] for row in evaluation.per_image(score_threshold)]

    # As `mistakes`; in the second image, a detection in an ignored box is not counted as false.
    assert counts() == [(3, 3, 2, 1, 1), (1, 2, 1, 0, 0), (0, 1, 0, 0, 1)]
    assert counts(0.7) == [(3, 2, 1, 2, 1), (1, 2, 1, 0, 0), (0, 0, 0, 0, 0)]
    assert counts((0.95, 0.75)) == [(3, 1, 0, 3, 1), (1, 0, 0, 1, 0), (0, 0, 0, 0, 0)]
    assert evaluation.per_image()[0]["file"] == str(evaluation.dataset.paths[0].absolute())


# Evaluating a model.


@pytest.fixture
def images(dataset_of, tmp_path):
    """Three images whose rectangles are detected, all but a second red one; a fourth is damaged."""
    rows = []
    for i in range(3):
        marks = [("red", 5, 5, 25, 25), ("blue", 40, 30, 70, 60)][: 2 - i % 2]
        save(tmp_path / f"{i}.png", (80, 100), marks)
        rows.append([(("red", "blue").index(name), *box) for name, *box in marks])
    (tmp_path / "3.png").write_bytes(b"")
    rows[0].append((0, 50, 5, 70, 25))
    dataset = dataset_of(*rows, [(0, 1, 1, 9, 9)], names=("red", "blue"))
    return replace(dataset, paths=tuple(tmp_path / f"{i}.png" for i in range(4)))


def test_a_predictor(images):
    done = []
    evaluation = evaluate_detector(FakePredictor(), images, advance=done.append)
    assert done == [1] * 4
    assert list(evaluation.errors) == [images.paths[3]]
    assert evaluation.dataset.paths == images.paths[:3]
    metrics = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    # Red: 3 of 4 boxes are detected without a false positive, 76 of the 101 recalls; blue: all.
    assert metrics["map"] == pytest.approx((76 / 101 + 1) / 2)
    assert (metrics["images"], metrics["unreadable"], metrics["boxes"]) == (3, 1, 6)
    assert [c["true_positives"] for c in metrics["classes"]] == [3, 2]
    assert metrics["confusion_classes"] == ["red", "blue", "background"]
    assert metrics["map_large"] is None


def test_images_without_boxes(dataset_of, tmp_path):
    dataset = dataset_of([], names=("red", "blue"))
    dataset = replace(dataset, paths=(save(tmp_path / "0.png", (20, 20), []),))
    evaluation = evaluate_detector(FakePredictor(), dataset)
    assert evaluation.to_json()["map"] is None
    assert evaluation.score_threshold == 0.5


@pytest.fixture(scope="module")
def detector():
    backbone = randomize(CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True))
    return randomize(YOLOXDetector(backbone, 2, image_size=64, max_detections=5), seed=2)


def test_a_model_a_predictor_and_an_exported_file_have_the_same_metrics(detector, images, tmp_path):
    evaluation = evaluate_detector(detector, images, batch_size=2)
    assert max(map(len, evaluation.detections)) > 5  # by the options of an evaluation
    expected = detector.predict(
        [read_image(path) for path in images.paths[:3]], options=EVALUATION_OPTIONS
    )
    for i, detections in enumerate(evaluation.detections):
        count = expected["num_detections"][i]
        confidence, boxes = (expected[name][i, :count] for name in ("confidence", "boxes"))
        np.testing.assert_allclose(detections.confidence, confidence, atol=1e-6)
        # Sorted, since boxes of equal confidence may come in another order.
        np.testing.assert_allclose(np.sort(detections.xyxy, 0), np.sort(boxes, 0), atol=1e-3)
    models = [Predictor(detector, runtime="keras", options=EVALUATION_OPTIONS)]
    pytest.importorskip("onnxruntime")
    export(detector, tmp_path / "a.onnx", options=EVALUATION_OPTIONS)
    models.append(tmp_path / "a.onnx")
    for model in models:
        other = evaluate_detector(model, images)
        assert other.average_precision.map == pytest.approx(
            evaluation.average_precision.map, abs=1e-3
        )
        np.testing.assert_array_equal(
            [len(d) for d in other.detections], [len(d) for d in evaluation.detections]
        )


def test_the_image_size(detector, images):
    evaluation = evaluate_detector(detector, images, image_size=32)
    predictor = Predictor(
        detector, runtime="keras", options=replace(EVALUATION_OPTIONS, image_size=32)
    )
    expected = predictor(list(images.paths[:3]))
    for detections, other in zip(evaluation.detections, expected, strict=True):
        np.testing.assert_allclose(detections.xyxy, other.xyxy, atol=1e-4)
    with pytest.raises(ValueError, match="must be left out for a Predictor"):
        evaluate_detector(predictor, images, image_size=32)


def test_options_of_an_evaluation():
    assert DetectionOptions(score_threshold=0.001, max_detections=300) == EVALUATION_OPTIONS
