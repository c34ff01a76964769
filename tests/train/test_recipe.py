"""Recipes as data, and the optimizers made from them."""

import json

import keras
import numpy as np
import pytest

from cspdarknet.data import ClassificationAugmentation
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.train import (
    CLASSIFICATION_RECIPES,
    ClassificationRecipe,
    Phase,
    customize,
    load_recipe,
)
from cspdarknet.train.classification import class_weights
from cspdarknet.train.ema import ExponentialMovingAverage
from cspdarknet.train.loop import set_trained_part
from cspdarknet.train.optimizer import WarmupHoldCosine, build_optimizer, rate_factors
from cspdarknet.train.recipe import recipe_from_json
from support import TINY_NET, to_numpy


@pytest.fixture
def classifier(tiny_net):
    return ImageClassifier(tiny_net, 3, activation=None)


@pytest.mark.one_backend
@pytest.mark.parametrize("name", CLASSIFICATION_RECIPES)
def test_recipes_survive_json(name, tmp_path):
    recipe = CLASSIFICATION_RECIPES[name]
    content = json.loads(json.dumps(recipe.to_json()))
    assert recipe_from_json(content, ClassificationRecipe, ClassificationAugmentation) == recipe
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()))
    assert load_recipe(tmp_path / "recipe.json") == recipe == load_recipe(name)


@pytest.mark.one_backend
def test_the_recipe_of_the_original():
    recipe = CLASSIFICATION_RECIPES["imagenet"]
    assert (recipe.epochs, recipe.image_size, recipe.batch_size) == (300, 224, 512)
    assert (recipe.learning_rate, recipe.weight_decay) == (0.0125 * 8, 5e-4)
    assert (recipe.warmup, recipe.hold, recipe.label_smoothing) == (0.01, 0.45, 0.1)
    assert recipe.augmentation.crop_area == (0.8, 1.0)
    assert recipe.augmentation.mix == 1.0


@pytest.mark.one_backend
@pytest.mark.parametrize("epochs", [3, 4, 5, 7, 12, 100])
def test_epochs_are_shared_out_as_the_stages_do(epochs):
    changed = customize(CLASSIFICATION_RECIPES["finetune"], epochs=epochs)
    assert changed.epochs == epochs
    assert all(stage.epochs >= 1 for stage in changed.stages)
    shares = [stage.epochs / 12 * epochs for stage in CLASSIFICATION_RECIPES["finetune"].stages]
    assert all(abs(s.epochs - e) <= 1 for s, e in zip(changed.stages, shares, strict=True))


@pytest.mark.one_backend
def test_image_sizes_keep_their_ratio():
    changed = customize(CLASSIFICATION_RECIPES["scratch"], image_size=256)
    assert [stage.image_size for stage in changed.stages] == [128, 192, 256]


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "wrong",
    [
        {"optimizer": "adam"},
        {"precision": "float8"},
        {"class_weights": "some"},
        {"batch_size": 0},
        {"ema_decay": 1.0},
        {"layer_decay": 1.5},
        {"warmup": 0.7, "hold": 0.7},
        {"label_smoothing": -0.1},
        {"seed": -1},
        {"stages": ()},
    ],
)
def test_values_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).rstrip("s")):
        ClassificationRecipe(**{"stages": (Phase(1),), **wrong})


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("text", "message"), [("{}", "stages"), ("[", "not a recipe"), ('{"stages": [{"x": 1}]}', "x")]
)
def test_recipe_files_that_are_malformed(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_recipe(tmp_path / "a.json")
    with pytest.raises(ValueError, match="choose finetune, scratch, imagenet"):
        load_recipe("missing")


@pytest.mark.one_backend
def test_phases_share_an_optimizer_while_the_same_part_is_trained():
    stages = (Phase(2, 64), Phase(1, 96), Phase(1, 96, "P3"), Phase(1, 96, "P3", 0.5))
    assert [len(phase) for phase in ClassificationRecipe(stages).phases] == [3, 1, 1]


def test_the_curve_rises_holds_and_falls():
    curve = WarmupHoldCosine(peak=2.0, steps=100, warmup=10, hold=40)
    rates = np.array([float(curve(step)) for step in range(100)])
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10 * 2, rtol=1e-6)
    np.testing.assert_allclose(rates[10:51], 2.0)
    assert (np.diff(rates[50:]) < 0).all()
    assert rates[75] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(2 * 0.5 * (1 + np.cos(np.pi * 49 / 50)), rel=1e-5)
    again = WarmupHoldCosine.from_config(curve.get_config())
    assert float(again(30)) == float(curve(30))


def test_rates_fall_with_depth(classifier):
    factors = rate_factors(classifier, 0.5)
    by_layer = {path.split("/")[-2]: value for path, value in factors.items()}
    assert by_layer["predictions"] == 1
    assert by_layer["dark3_csp_conv3_conv"] == by_layer["dark3_conv_bn"] == 0.5
    assert by_layer["dark2_conv_conv"] == 0.25
    assert by_layer["stem_conv_conv"] == by_layer["stem_conv_bn"] == 0.125


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("sgd", marks=pytest.mark.one_backend)])
def test_a_step_moves_each_part_at_its_rate(classifier, optimizer):
    # The same steps with and without the factors: plain SGD moves in proportion to the rate; the
    # first step of Adam has the size of the rate whatever the gradient.
    moves = []
    start = classifier.get_weights()
    x = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    for decay in (1.0, 0.5):
        classifier.set_weights(start)
        recipe = ClassificationRecipe(
            (Phase(1),), optimizer=optimizer, layer_decay=decay, warmup=0, weight_decay=0
        )
        classifier.compile(
            build_optimizer(recipe, recipe.stages[0], 10, classifier),
            keras.losses.CategoricalCrossentropy(from_logits=True),
        )
        before = [to_numpy(v).copy() for v in classifier.trainable_variables]
        classifier.train_on_batch(x, np.eye(3)[[0, 1, 2, 0]])
        after = [to_numpy(v) for v in classifier.trainable_variables]
        moves.append([np.abs(a - b).max() for a, b in zip(after, before, strict=True)])
    factors = rate_factors(classifier, 0.5)
    for variable, plain, slowed in zip(classifier.trainable_variables, *moves, strict=True):
        assert slowed == pytest.approx(plain * factors[variable.path], rel=0.02, abs=1e-7)


def test_weight_decay_spares_batch_norms_and_biases(classifier):
    recipe = ClassificationRecipe(
        (Phase(1),), learning_rate=0.1, warmup=0, weight_decay=0.5, optimizer="sgd"
    )
    optimizer = build_optimizer(recipe, recipe.stages[0], 10, classifier)
    classifier.compile(optimizer, lambda y, p: 0 * p)
    before = {v.path: to_numpy(v).copy() for v in classifier.trainable_variables}
    classifier.train_on_batch(np.ones((2, 32, 32, 3), "float32"), np.zeros((2, 3), "float32"))
    for variable in classifier.trainable_variables:
        kept = 1 - 0.1 * 0.5 if len(variable.shape) > 1 else 1
        np.testing.assert_allclose(to_numpy(variable), before[variable.path] * kept, rtol=1e-5)


def test_accumulated_batches_equal_one_large_batch():
    # Without batch-norm in training mode, whose statistics are those of the small batches.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 32, 32, 3)).astype("float32")
    y = np.eye(3, dtype="float32")[rng.integers(0, 3, 8)]
    results = []
    for accumulate, size in ((1, 8), (4, 2)):
        keras.utils.set_random_seed(0)
        backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=False)
        model = ImageClassifier(backbone, 3, activation=None)
        set_trained_part(model, "head")
        recipe = ClassificationRecipe((Phase(1),), accumulate=accumulate, warmup=0, optimizer="sgd")
        model.compile(
            build_optimizer(recipe, recipe.stages[0], 10**6, model),
            keras.losses.CategoricalCrossentropy(from_logits=True),
        )
        for start in range(0, 8, size):
            model.train_on_batch(x[start : start + size], y[start : start + size])
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("part", "trained"),
    [
        ("head", {"predictions"}),
        ("P3", {"predictions", "dark3"}),
        ("P2", {"predictions", "dark3", "dark2"}),
        ("all", {"predictions", "dark3", "dark2", "stem"}),
    ],
)
def test_what_a_stage_trains(classifier, part, trained):
    set_trained_part(classifier, part)
    layers = {v.path.split("/")[-2].split("_")[0] for v in classifier.trainable_variables}
    assert layers == trained


@pytest.mark.one_backend
def test_a_part_that_does_not_exist(classifier):
    with pytest.raises(ValueError, match="'all', 'head' or from a level on"):
        set_trained_part(classifier, "P9")


def test_the_average_follows_all_numbers(classifier):
    average = ExponentialMovingAverage(classifier, decay=0.5)
    expected = [v.copy() for v in classifier.get_weights()]
    for step in range(1, 4):
        for variable in classifier.weights:
            variable.assign(to_numpy(variable) + step)
        decay = min(0.5, (1 + step) / (10 + step))
        now = classifier.get_weights()
        expected = [decay * e + (1 - decay) * n for e, n in zip(expected, now, strict=True)]
        average.update()
    assert any("moving_variance" in v.path for v in classifier.weights)
    for value, wanted in zip(average.values, expected, strict=True):
        assert not getattr(value, "requires_grad", False)  # a memory of all updates on PyTorch
        np.testing.assert_allclose(to_numpy(value), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.one_backend
def test_balanced_class_weights():
    from cspdarknet.data import ClassificationDataset

    photos = ClassificationDataset(("a", "b"), (None,) * 4, np.array([0, 0, 0, 1]))
    weights = class_weights(photos, "balanced")
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert weights[photos.labels].mean() == pytest.approx(1)
    assert class_weights(photos, "equal") is None
