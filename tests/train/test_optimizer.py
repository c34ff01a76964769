"""Optimizers made from recipes."""

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.train import ClassificationRecipe, Phase
from cspdarknet.train.loop import set_trained_layers
from cspdarknet.train.optimizer import WarmupHoldCosine, build_optimizer, learning_rate_factors
from support import TINY_NET, to_numpy

CROSS_ENTROPY = keras.losses.CategoricalCrossentropy(from_logits=True)


@pytest.fixture
def classifier(tiny_net):
    return ImageClassifier(tiny_net, 3, activation=None)


def compile_for(classifier, steps=10, loss=CROSS_ENTROPY, **values):
    recipe = ClassificationRecipe((Phase(1),), warmup_fraction=0, **values)
    optimizer = build_optimizer(recipe, recipe.phases[0], steps, classifier)
    classifier.compile(optimizer, loss)
    return optimizer


def test_the_learning_rate_rises_holds_and_falls():
    schedule = WarmupHoldCosine(peak=2.0, steps=100, warmup_steps=10, hold_steps=40)
    rates = np.array([float(schedule(step)) for step in range(100)])
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10 * 2, rtol=1e-6)
    np.testing.assert_allclose(rates[10:51], 2.0)
    assert (np.diff(rates[50:]) < 0).all()
    assert rates[75] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(2 * 0.5 * (1 + np.cos(np.pi * 49 / 50)), rel=1e-5)


def test_the_final_learning_rate_and_the_config():
    schedule = WarmupHoldCosine(1.0, 10, 1, 2, final_ratio=0.2)
    assert float(schedule(10)) == float(schedule(99)) == pytest.approx(0.2)
    again = WarmupHoldCosine.from_config(schedule.get_config())
    assert [float(again(i)) for i in range(10)] == [float(schedule(i)) for i in range(10)]


@pytest.mark.one_backend
def test_the_schedule_of_a_recipe(classifier):
    recipe = ClassificationRecipe(
        (Phase(1, learning_rate=0.5),),
        learning_rate=0.1,
        warmup_fraction=0.1,
        hold_fraction=0.25,
        final_learning_rate_ratio=0.3,
        clip_norm=2.0,
        accumulate=3,
    )
    optimizer = build_optimizer(recipe, recipe.phases[0], 40, classifier)
    schedule = optimizer._learning_rate
    assert schedule.get_config() == {
        **{"peak": 0.05, "steps": 40, "warmup_steps": 4, "hold_steps": 10, "final_ratio": 0.3}
    }
    assert (optimizer.global_clipnorm, optimizer.gradient_accumulation_steps) == (2.0, 3)


@pytest.mark.one_backend
def test_learning_rates_fall_with_depth(classifier):
    factors = learning_rate_factors(classifier, 0.5)
    by_layer = {path.split("/")[-2]: value for path, value in factors.items()}
    assert by_layer["predictions"] == 1
    assert by_layer["dark3_csp_conv3_conv"] == by_layer["dark3_conv_bn"] == 0.5
    assert by_layer["dark2_conv_conv"] == 0.25
    assert by_layer["stem_conv_conv"] == by_layer["stem_conv_bn"] == 0.125


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("sgd", marks=pytest.mark.one_backend)])
def test_a_step_moves_each_layer_at_its_learning_rate(classifier, optimizer):
    # The same step with and without the factors: plain SGD moves in proportion to the rate; the
    # first step of Adam has the size of the rate whatever the gradient.
    moves = []
    start = classifier.get_weights()
    x = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    for decay in (1.0, 0.5):
        classifier.set_weights(start)
        compile_for(classifier, optimizer=optimizer, layer_decay=decay, weight_decay=0)
        before = [to_numpy(v).copy() for v in classifier.trainable_variables]
        classifier.train_on_batch(x, np.eye(3)[[0, 1, 2, 0]])
        after = [to_numpy(v) for v in classifier.trainable_variables]
        moves.append([np.abs(a - b).max() for a, b in zip(after, before, strict=True)])
    factors = learning_rate_factors(classifier, 0.5)
    for variable, plain, slowed in zip(classifier.trainable_variables, *moves, strict=True):
        assert slowed == pytest.approx(plain * factors[variable.path], rel=0.02, abs=1e-7)


@pytest.mark.one_backend
def test_sgd_has_nesterov_momentum(classifier):
    optimizer = compile_for(classifier, optimizer="sgd", learning_rate=0.1, weight_decay=0)
    variable = keras.Variable([1.0])
    optimizer.apply([keras.ops.ones(1)], [variable])
    # The first step is 1 + 0.9 times the learning rate; with plain momentum it would be 1 times.
    np.testing.assert_allclose(to_numpy(variable), 1 - 1.9 * 0.1, rtol=1e-6)


def test_weight_decay_excludes_batch_norms_and_biases(classifier):
    compile_for(
        classifier,
        loss=lambda _, outputs: 0 * outputs,
        learning_rate=0.1,
        weight_decay=0.5,
        optimizer="sgd",
    )
    before = {v.path: to_numpy(v).copy() for v in classifier.trainable_variables}
    classifier.train_on_batch(np.ones((2, 32, 32, 3), "float32"), np.zeros((2, 3), "float32"))
    for variable in classifier.trainable_variables:
        kept = 1 - 0.1 * 0.5 if len(variable.shape) > 1 else 1
        np.testing.assert_allclose(to_numpy(variable), before[variable.path] * kept, rtol=1e-5)


def test_accumulated_batches_equal_one_large_batch():
    # Only the head is trained: batch normalization in training mode would use the statistics of
    # the small batches.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 32, 32, 3)).astype("float32")
    y = np.eye(3, dtype="float32")[rng.integers(0, 3, 8)]
    results = []
    for accumulate, size in ((1, 8), (4, 2)):
        keras.utils.set_random_seed(0)
        backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=False)
        model = ImageClassifier(backbone, 3, activation=None)
        set_trained_layers(model, "head")
        compile_for(model, steps=10**6, accumulate=accumulate, optimizer="sgd")
        for start in range(0, 8, size):
            model.train_on_batch(x[start : start + size], y[start : start + size])
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
