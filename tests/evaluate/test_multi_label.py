"""Evaluation of multi-label classifiers."""

from pathlib import Path

import numpy as np
import pytest

from cspdarknet.data import ClassificationDataset, MultiLabelDataset
from cspdarknet.evaluate import MultiLabelEvaluation, evaluate_classifier
from cspdarknet.evaluate.multi_label import average_precision
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from image_datasets import write_class_folders
from support import TINY_NET

pytestmark = pytest.mark.one_backend

NAMES = ("cat", "dog", "owl")


def evaluation(count=60, seed=0, thresholds=(0.5, 0.4, 0.6)):
    """Probabilities that agree with the labels mostly, many of them equal."""
    rng = np.random.default_rng(seed)
    labels = rng.random((count, 3)) < [0.5, 0.3, 0.2]
    probabilities = (0.3 + 0.4 * labels + rng.normal(0, 0.2, labels.shape)).clip(0, 1).round(2)
    paths = tuple(Path(f"{i}.png") for i in range(count))
    return MultiLabelEvaluation(
        MultiLabelDataset(NAMES, paths, labels), probabilities, {}, thresholds
    )


def test_metrics_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    result = evaluation()
    labels, predicted = result.dataset.labels, result.predicted
    np.testing.assert_array_equal(predicted, result.probabilities >= np.float32([0.5, 0.4, 0.6]))
    scores = metrics.average_precision_score(labels, result.probabilities, average=None)
    assert [c.ap for c in result.classes] == pytest.approx(list(scores))
    assert result.map == pytest.approx(
        metrics.average_precision_score(labels, result.probabilities)
    )
    expected = metrics.precision_recall_fscore_support(labels, predicted)
    for i, name in enumerate(("precision", "recall", "f1", "images")):
        assert [getattr(c, name) for c in result.classes] == pytest.approx(list(expected[i]))
    assert result.micro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="micro"))
    assert result.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert result.exact_match == pytest.approx(metrics.accuracy_score(labels, predicted))
    clipped = result.probabilities.clip(1e-12, 1 - 1e-12)
    losses = [metrics.log_loss(labels[:, i], clipped[:, i]) for i in range(3)]
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-3)


def test_equal_scores_count_together():
    metrics = pytest.importorskip("sklearn.metrics")
    labels, scores = np.array([False, True, True, False]), np.array([0.5, 0.5, 0.5, 0.1])
    expected = metrics.average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected) == pytest.approx(2 / 3)
    assert average_precision(np.zeros(4, bool), scores) is None


def test_a_class_without_images_is_left_out_of_the_mean():
    labels = np.array([[True, False], [False, False]])
    dataset = MultiLabelDataset(("cat", "dog"), (Path("a.png"), Path("b.png")), labels)
    result = MultiLabelEvaluation(dataset, np.array([[0.9, 0.1], [0.2, 0.3]]), {}, (0.5, 0.5))
    assert (result.map, result.classes[1].ap, result.classes[1].f1) == (1.0, None, None)
    assert (result.macro_f1, result.exact_match, result.mistakes) == (1.0, 1.0, [])
    empty = MultiLabelEvaluation(
        MultiLabelDataset(("cat",), (Path("a.png"),), np.zeros((1, 1), bool)),
        np.array([[0.1]]),
        {},
        (0.5,),
    )
    assert (empty.map, empty.micro_f1, empty.thresholds(), empty.exact_match) == (None, None, [], 1)
    assert empty.to_json()["mean_average_precision"] is None


def test_proposed_thresholds_have_the_best_f1():
    """A class whose probabilities are lower than those of the others gets its own threshold."""
    labels = np.tile(np.eye(2, dtype=bool), (30, 1))
    probabilities = np.where(labels, [0.9, 0.3], [0.5, 0.1])
    dataset = MultiLabelDataset(("cat", "dog"), tuple(map(Path, "x" * 60)), labels)
    result = MultiLabelEvaluation(dataset, probabilities, {}, (0.5, 0.5))
    assert result.exact_match == 0.5
    proposals = result.thresholds("f1")
    assert [p.boxes for p in proposals] == [30, 30]
    best = result.at([p.threshold for p in proposals])
    assert best.exact_match == best.micro_f1 == 1
    assert 0.5 < best.score_thresholds[0] < 0.9
    assert 0.1 < best.score_thresholds[1] < 0.3


def test_mistakes_and_tables():
    result = evaluation(8)
    wrong = result.predicted != result.dataset.labels
    assert sorted(result.mistakes) == np.flatnonzero(wrong.any(axis=1)).tolist()
    errors = np.where(wrong, np.abs(result.probabilities - result.dataset.labels), 0).max(axis=1)
    assert (np.diff(errors[result.mistakes]) <= 0).all()
    rows = result.per_image()
    for i, row in enumerate(rows):
        assert row["classes"] == ";".join(result.dataset.classes_of(i))
        predicted = set(filter(None, row["predicted_classes"].split(";")))
        missed = set(filter(None, row["missed_classes"].split(";")))
        assert missed == set(result.dataset.classes_of(i)) - predicted
    with pytest.raises(ValueError, match="one class per image"):
        result.calibrated()


@pytest.fixture
def datasets(tmp_path):
    paths = tuple(sorted(write_class_folders(tmp_path, 1).rglob("*.png")))
    labels = np.eye(3, dtype=bool) | np.array([False, False, True])
    return MultiLabelDataset(NAMES, paths, labels), ClassificationDataset(
        NAMES, paths, np.arange(3, dtype="int32")
    )


def test_a_model_is_evaluated_at_its_own_thresholds(datasets):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    options = {"class_names": NAMES, "image_size": 32, "labels": "multi"}
    model = ImageClassifier(backbone, 3, score_threshold=(0.1, 0.2, 0.3), **options)
    result = evaluate_classifier(model, datasets[0])
    assert result.score_thresholds == (0.1, 0.2, 0.3)
    assert evaluate_classifier(
        ImageClassifier(backbone, 3, **options), datasets[0]
    ).score_thresholds
    assert result.probabilities.shape == (3, 3)
    assert not np.allclose(result.probabilities.sum(axis=1), 1)
    with pytest.raises(ValueError, match="load it with labels='multi'"):
        evaluate_classifier(model, datasets[1])
    with pytest.raises(ValueError, match="load it with labels='single'"):
        evaluate_classifier(ImageClassifier(backbone, 3, class_names=NAMES), datasets[0])
