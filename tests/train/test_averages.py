"""The averages of the weights, and of the statistics of the batches."""

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.train.averages import WeightAverages
from support import to_numpy


@pytest.fixture
def model(tiny_net):
    return ImageClassifier(tiny_net, 3, activation=None)


def change(model, step):
    for variable in model.weights:
        variable.assign(to_numpy(variable) + step)


def is_statistic(variable):
    return "moving_" in variable.path


def assert_equal(values, references):
    for value, reference in zip(values, references, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ema_decay", [0.0, 0.3])
def test_all_weights_and_statistics_are_averaged(model, ema_decay):
    averages = WeightAverages(model, ema_decay, batch_norm_momentum=0.4)
    expected = [v.copy() for v in model.get_weights()]
    for step in range(1, 7):
        change(model, step)
        rising = (1 + step) / (10 + step)
        decays = [
            min(0.4 if is_statistic(variable) else ema_decay, rising) for variable in model.weights
        ]
        pairs = zip(decays, expected, model.get_weights(), strict=True)
        expected = [decay * old + (1 - decay) * new for decay, old, new in pairs]
        averages.update()
    assert (averages.updates, averages.batches) == (6, 6)
    assert any(map(is_statistic, model.weights))
    assert_equal(averages.to_numpy(), expected)
    # PyTorch would keep the graphs of all updates.
    values = averages._averages.values()
    assert not any(getattr(value, "requires_grad", False) for value in values)


def test_without_an_ema_the_weights_are_those_of_the_model_bit_for_bit(model):
    averages = WeightAverages(model, 0.0, 0.97)
    for step in range(3):
        change(model, 0.1 + step)
        averages.update()
    for variable, value, weight in zip(
        model.weights, averages.to_numpy(), model.get_weights(), strict=True
    ):
        assert (value == weight).all() != is_statistic(variable)


def test_statistics_count_batches_and_weights_count_steps(model):
    averages = WeightAverages(model, 0.9, 0.97)
    before = averages.to_numpy()
    change(model, 1)
    averages.update(is_step=False)
    after = averages.to_numpy()
    assert (averages.updates, averages.batches) == (0, 1)
    for variable, old, new in zip(model.weights, before, after, strict=True):
        assert (old == new).all() != is_statistic(variable)


def test_a_transient_is_forgotten(model):
    """400 times the true variance in ten batches leaves less than 1 % of itself after 30 more."""
    averages = WeightAverages(model, 0.0, 0.97)
    variance = next(i for i, v in enumerate(model.weights) if "moving_variance" in v.path)
    for step in range(40):
        model.weights[variance].assign(
            np.full(model.weights[variance].shape, 400.0 if step < 10 else 1.0)
        )
        averages.update()
    np.testing.assert_allclose(averages.to_numpy()[variance], 1.0, atol=0.1)


def test_layers_hold_the_statistics_of_the_last_batch_until_new_averages_begin(model):
    averages = WeightAverages(model, 0.0, 0.97)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss)
    rng = np.random.default_rng(0)
    batches = [rng.uniform(0, 255, (2, 32, 32, 3)).astype("float32") for _ in range(2)]
    first = next(i for i, v in enumerate(model.weights) if "moving_mean" in v.path)
    held = []
    for batch in batches:
        model.train_on_batch(batch, np.array([0, 1]))
        averages.update()
        held.append(to_numpy(model.weights[first]).copy())
    again = CSPDarkNetBackbone.from_config(model.backbone.get_config())
    assert all(
        layer.momentum == model.backbone.batch_norm_momentum
        for layer in again._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    model.train_on_batch(batches[0], np.array([0, 1]))
    np.testing.assert_allclose(to_numpy(model.weights[first]), held[0], rtol=1e-4, atol=1e-6)
    assert np.abs(held[0] - held[1]).max() > 1e-4
    averages.begin()
    assert averages.batches == 0
    assert_equal([to_numpy(model.weights[first])], [averages.to_numpy()[first]])


def test_a_restored_state_is_the_same_bit_for_bit(model):
    averages = WeightAverages(model, 0.9, 0.97)
    change(model, 2)
    averages.update()
    stored = averages.to_arrays()
    change(model, 3)
    averages.update(is_step=False)
    averages.restore(stored)
    assert (averages.updates, averages.batches) == (1, 1)
    for i, value in enumerate(averages.to_numpy()):
        np.testing.assert_array_equal(value, stored[str(i)])
