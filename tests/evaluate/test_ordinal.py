"""Evaluation of classifiers of ordered classes."""

from pathlib import Path

import numpy as np
import pytest

from cspdarknet.data import ClassificationDataset
from cspdarknet.evaluate import OrdinalEvaluation

pytestmark = pytest.mark.one_backend


def evaluation(labels, predicted, classes=4):
    names = tuple(map(str, range(classes)))
    dataset = ClassificationDataset(names, (Path("a.png"),) * len(labels), np.array(labels))
    return OrdinalEvaluation(dataset, np.eye(classes)[predicted], {})


def test_metrics_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 50)
    predicted = (labels + rng.integers(-1, 3, 50)).clip(0, 3)
    result = evaluation(labels, predicted)
    expected = metrics.cohen_kappa_score(labels, predicted, weights="quadratic")
    assert result.kappa == pytest.approx(expected)
    assert result.mean_absolute_error == metrics.mean_absolute_error(labels, predicted)
    assert result.within_one == (np.abs(labels - predicted) <= 1).mean()
    content = result.to_json()
    assert content["quadratic_weighted_kappa"] == result.kappa
    assert content["accuracy"] == metrics.accuracy_score(labels, predicted)


def test_kappa_of_few_classes():
    assert evaluation([1, 1], [1, 1]).kappa == 1
    assert evaluation([0, 1, 2], [0, 1, 2]).kappa == 1
    assert evaluation([0, 1, 2], [1, 1, 1]).kappa == 0
    near, far = (evaluation([0, 1, 2, 3], [*other, 2, 3]) for other in ([1, 1], [3, 1]))
    assert (near.accuracy, near.kappa > far.kappa) == (far.accuracy, True)
