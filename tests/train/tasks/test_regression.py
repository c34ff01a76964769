"""The training task of regressors: its loss, and heads that are trained further."""

import keras
import numpy as np
import pytest

from cspdarknet.data import RegressionDataset
from cspdarknet.evaluate import RegressionEvaluation
from cspdarknet.models import CSPDarkNetBackbone, ImageRegressor
from cspdarknet.train import Phase, RegressionRecipe
from cspdarknet.train.tasks import RegressionTask
from support import randomize

RECIPE = RegressionRecipe((Phase(1, 16),), loss="mse")


def dataset(numbers, names):
    return RegressionDataset(names, (None,) * len(numbers), np.asarray(numbers, "float64"))


def test_training_the_head_ends_at_the_least_squares_solution():
    """The features are fixed, so that the minimum is known."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(64, 1, 1, 4)).astype("float32")
    flat = np.hstack([features[:, 0, 0], np.ones((64, 1))])
    numbers = flat @ rng.normal(size=(5, 2)) * [3, 500] + rng.normal(0, [1, 50], (64, 2)) + 100
    data = dataset(numbers, ("a", "b"))
    images = keras.Input((None, None, 4))
    backbone = keras.Model(images, keras.layers.Activation("linear")(images))
    task = RegressionTask(RECIPE).fitted(data)
    model = ImageRegressor(backbone, ["a", "b"], mean=task.mean, std=task.std)
    task.compile(model, keras.optimizers.SGD(0.4))
    for _ in range(60):
        loss = model.train_on_batch(features, numbers.astype("float32"))
    solution, *_ = np.linalg.lstsq(flat, numbers, rcond=None)
    residuals = (flat @ solution - numbers) / data.std
    assert float(loss) == pytest.approx((residuals**2).mean(), rel=1e-3)
    found = model.predict(features, verbose=0)
    assert (np.abs(found - flat @ solution) / data.std).max() < 0.01


@pytest.mark.parametrize("kind", ["huber", "mse"])
def test_the_loss_is_one_of_standard_deviations(kind):
    data = dataset([[0, -3000], [2, 3000]], ("a", "b"))
    task = RegressionTask(RegressionRecipe((Phase(1),), loss=kind)).fitted(data)
    assert (task.mean, task.std) == ((1, 0), (1, 3000))
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    model = ImageRegressor(backbone, ["a", "b"], mean=task.mean, std=task.std)
    task.compile(model, "sgd")
    predicted = data.targets + np.array([[0.5, 6000], [0, 0]])
    expected = {"huber": (0.125 + 1.5) / 4, "mse": (0.25 + 4) / 4}[kind]
    y, y_pred = (keras.ops.convert_to_tensor(x, "float32") for x in (data.targets, predicted))
    assert float(model.compute_loss(None, y, y_pred)) == pytest.approx(expected, rel=1e-5)
    row = task.validation_row(RegressionEvaluation(data, predicted, {}))
    assert row["val_loss"] == pytest.approx(expected)
    assert tuple(row) == task.validation_metrics
    assert row["val_mae_b"] == 3000


@pytest.mark.one_backend
def test_a_regressor_of_the_same_targets_keeps_its_predictions(tmp_path):
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    start = randomize(ImageRegressor(backbone, ["a", "b"], mean=[5, -10], std=[2, 300]))
    start.save_to_preset(tmp_path / "start")
    task = RegressionTask(RECIPE).fitted(dataset([[0, 0], [1, 1], [7, 9]], ("a", "b")))
    model = task.build_model(tmp_path / "start", None, ("a", "b"))
    assert model.std == task.std
    x = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3))
    np.testing.assert_allclose(model.predict(x, verbose=0), start.predict(x, verbose=0), rtol=1e-4)
    other = task.build_model(tmp_path / "start", None, ("b", "a"))
    assert np.abs(other.get_layer("predictions").bias).max() == 0


@pytest.mark.one_backend
def test_names_of_metrics_fit_the_trackers():
    task = RegressionTask(RECIPE, target_names=("age (years)",))
    assert task.validation_metrics[2] == "val_mae_age _years_"


@pytest.mark.one_backend
def test_recipes_refuse_what_is_for_classes():
    from dataclasses import replace

    with pytest.raises(ValueError, match="`cutmix_alpha` must be 0"):
        replace(RECIPE, augmentation=replace(RECIPE.augmentation, mix=0.5, cutmix_alpha=1.0))
    with pytest.raises(ValueError, match="`repeat_threshold` is for classes"):
        replace(RECIPE, repeat_threshold=0.1)
    with pytest.raises(ValueError, match="`loss` must be one of 'huber', 'mse'"):
        replace(RECIPE, loss="mae")
    assert RegressionRecipe.from_json(RECIPE.to_json()) == RECIPE
    short = {"phases": [{"epochs": 1}], "augmentation": {"flip": 0.0}}
    augmentation = RegressionRecipe.from_json(short).augmentation
    assert augmentation == replace(RECIPE.augmentation, flip=0.0)
    assert augmentation.rand_augment == 0
