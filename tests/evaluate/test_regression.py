"""Metrics of regressors, against closed forms and other software."""

from pathlib import Path

import numpy as np
import pytest

from cspdarknet.data import RegressionDataset
from cspdarknet.evaluate import RegressionEvaluation, evaluate_regressor
from cspdarknet.evaluate.regression import mean_interval, rank_correlation
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, ImageRegressor

pytestmark = pytest.mark.one_backend


def evaluation(true, predicted, names=("age",)):
    true, predicted = (np.asarray(x, "float64").reshape(-1, len(names)) for x in (true, predicted))
    paths = tuple(Path(f"{i}.png") for i in range(len(true)))
    return RegressionEvaluation(RegressionDataset(names, paths, true), predicted, {})


def test_closed_forms():
    (found,) = evaluation([0, 2, 4, 6], [1, 2, 3, 8]).targets
    assert found.mae == 1
    assert found.rmse == pytest.approx(np.sqrt(6 / 4))
    assert found.r2 == pytest.approx(1 - 6 / 20)
    assert found.spearman == 1
    assert found.mae_interval[0] < 1 < found.mae_interval[1]


def test_the_metrics_of_scikit_learn_and_scipy():
    metrics = pytest.importorskip("sklearn.metrics")
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    true = rng.integers(0, 9, (200, 2)).astype("float64")  # with ties
    predicted = true + rng.normal(0, [1, 4], (200, 2)).round(1)
    result = evaluation(true, predicted, ("a", "b"))
    for i, target in enumerate(result.targets):
        pair = true[:, i], predicted[:, i]
        assert target.mae == pytest.approx(metrics.mean_absolute_error(*pair))
        assert target.rmse == pytest.approx(metrics.mean_squared_error(*pair) ** 0.5)
        assert target.r2 == pytest.approx(metrics.r2_score(*pair))
        assert target.spearman == pytest.approx(stats.spearmanr(*pair).statistic)
    assert result.mean_r2 == pytest.approx(metrics.r2_score(true, predicted))


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).exponential(3, 500)
    low, high = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(500)
    assert low == pytest.approx(values.mean() - half, abs=half / 4)
    assert high == pytest.approx(values.mean() + half, abs=half / 4)


def test_undefined_metrics_are_none():
    result = evaluation([3, 3, 3], [1, 2, 3])
    assert (result.mean_r2, result.targets[0].r2, result.targets[0].spearman) == (None,) * 3
    assert result.mistakes == [0, 1, 2]
    assert rank_correlation(np.array([1, 2]), np.array([5, 5])) is None


def test_mistakes_compare_targets_in_standard_deviations():
    true = [[0, 0], [1, 1000], [2, 2000], [3, 3000]]
    predicted = [[0, 100], [1, 1000], [4, 2000], [3, 3000]]
    result = evaluation(true, predicted, ("small", "large"))
    assert result.mistakes[:2] == [2, 0]
    row = result.per_image()[2]
    assert {key: value for key, value in row.items() if key != "file"} == {
        **{"small": 2, "predicted_small": 4, "error_small": 2},
        **{"large": 2000, "predicted_large": 2000, "error_large": 0},
    }


def test_models_for_other_targets_and_tasks(tmp_path):
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    dataset = RegressionDataset(("age",), (tmp_path / "a.png",), np.array([[3.0]]))
    with pytest.raises(ValueError, match=r"must be those of the model.* age; the model has height"):
        evaluate_regressor(ImageRegressor(backbone, ["height"]), dataset)
    with pytest.raises(
        ValueError, match=r"must be for regression\. Received: a model for classific"
    ):
        evaluate_regressor(ImageClassifier(backbone, 2), dataset)
    with pytest.raises(ValueError, match="None of the images can be read"):
        evaluate_regressor(ImageRegressor(backbone, ["age"]), dataset)
