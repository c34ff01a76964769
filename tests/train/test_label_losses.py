"""The losses of multi-label and ordinal classifiers, on every backend."""

import keras
import numpy as np
import pytest

from cspdarknet.train.focal_loss import FocalCrossentropy
from cspdarknet.train.label_losses import MultiLabelCrossentropy, OrdinalCrossentropy
from gradients import gradients
from support import to_numpy

WEIGHTS = np.array([1, 0, 2, 1, 0.5, 3], "float32")


def batch():
    """Return logits, and labels that MixUp has mixed."""
    rng = np.random.default_rng(0)
    labels = 0.7 * rng.integers(0, 2, (6, 4)) + 0.3 * rng.integers(0, 2, (6, 4))
    return rng.normal(0, 2, (6, 4)).astype("float32"), labels.astype("float32")


def expected(labels, logits, gamma=0.0, smoothing=0.0, positive=1.0):
    x = logits.astype("float64")
    p, y = 1 / (1 + np.exp(-x)), labels * (1 - smoothing) + smoothing / 2
    of_positive, of_negative = np.logaddexp(0, -x), np.logaddexp(0, x)  # -log(p), -log(1 - p)
    terms = positive * y * (1 - p) ** gamma * of_positive + (1 - y) * p**gamma * of_negative
    return terms.mean(axis=1)


@pytest.mark.parametrize(("gamma", "smoothing"), [(0.0, 0.0), (0.0, 0.2), (0.5, 0.0), (2.0, 0.1)])
def test_multi_label_values_are_those_of_numpy_and_keras(gamma, smoothing):
    logits, labels = batch()
    loss = MultiLabelCrossentropy(gamma, smoothing)
    each = expected(labels, logits, gamma, smoothing)
    np.testing.assert_allclose(float(loss(labels, logits)), each.mean(), rtol=2e-6)
    found = float(loss(labels, logits, sample_weight=WEIGHTS))
    np.testing.assert_allclose(found, (each * WEIGHTS).mean(), rtol=2e-6)
    hard = labels.round()  # of mixtures, Keras's focal loss has one factor for both terms
    peer = keras.losses.BinaryFocalCrossentropy(False, 0.25, gamma, True)
    found = float(MultiLabelCrossentropy(gamma)(hard, logits, WEIGHTS))
    np.testing.assert_allclose(found, float(peer(hard, logits, WEIGHTS)), rtol=1e-4)
    peer = keras.losses.BinaryCrossentropy(True, smoothing)
    found = float(MultiLabelCrossentropy(0.0, smoothing)(labels, logits, WEIGHTS))
    np.testing.assert_allclose(found, float(peer(labels, logits, WEIGHTS)), rtol=1e-4)


def test_positive_weights_are_those_of_pytorch():
    logits, labels = batch()
    positive = np.array([1, 3, 0.5, 7], "float32")
    found = float(MultiLabelCrossentropy(positive_weights=positive)(labels, logits))
    assert found == pytest.approx(expected(labels, logits, positive=positive).mean(), rel=1e-5)
    if keras.backend.backend() == "torch":
        import torch

        values = map(torch.from_numpy, (logits, labels, positive))
        x, y, weights = values
        peer = torch.nn.functional.binary_cross_entropy_with_logits(x, y, pos_weight=weights)
        assert found == pytest.approx(float(peer), rel=1e-5)


def slopes(loss, labels, logits):
    """Return the loss and its gradient by the kernel of a dense layer that returns its input."""
    model = keras.Sequential([keras.Input((3,))])
    model.add(keras.layers.Dense(3, use_bias=False, kernel_initializer="identity"))
    value, by_path = gradients(model, lambda outputs: loss(labels, outputs), logits)
    (gradient,) = map(to_numpy, by_path.values())
    return value, gradient


def test_gradients_of_extreme_logits_are_finite_and_pull():
    logits = np.array([[80.0, -80, 1]], "float32")
    labels = np.array([[0.0, 1, 1]], "float32")
    for gamma in (0.0, 0.5):
        value, gradient = slopes(MultiLabelCrossentropy(gamma), labels, logits)
        assert np.isfinite(gradient).all()
        assert value == pytest.approx(expected(labels, logits, gamma).mean(), rel=1e-5)
        # The first logit is 80 and wrong: the loss falls with it.
        assert gradient[0, 0] == pytest.approx(80 / 3, rel=1e-3)
        assert gradient[1, 1] == pytest.approx(80 / 3, rel=1e-3)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_ordinal_values_are_those_of_numpy():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6, 4)).astype("float32")
    first, second = np.eye(4)[rng.integers(0, 4, (2, 6))]
    labels = (0.7 * first + 0.3 * second).astype("float32")
    p = softmax(logits.astype("float64"))
    distance = ((p.cumsum(axis=1) - labels.cumsum(axis=1)) ** 2).sum(axis=1)
    each = distance - (labels * np.log(p)).sum(axis=1)
    loss = OrdinalCrossentropy(keras.losses.CategoricalCrossentropy(from_logits=True))
    np.testing.assert_allclose(float(loss(labels, logits)), each.mean(), rtol=1e-5)
    found = float(loss(labels, logits, sample_weight=WEIGHTS))
    np.testing.assert_allclose(found, (each * WEIGHTS).mean(), rtol=1e-5)
    focal = OrdinalCrossentropy(FocalCrossentropy(2.0))
    each = distance - (labels * (1 - p) ** 2 * np.log(p)).sum(axis=1)
    np.testing.assert_allclose(float(focal(labels, logits)), each.mean(), rtol=1e-5)


def test_ordinal_loss_prefers_near_misses():
    """The cross-entropy alone does not, as the probability of the label is the same."""
    crossentropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    labels = np.array([[1.0, 0, 0, 0]], "float32")
    misses = [np.log(np.float32([[0.1, *row]])) for row in ((0.7, 0.1, 0.1), (0.1, 0.1, 0.7))]
    plain = [float(crossentropy(labels, logits)) for logits in misses]
    near, far = (float(OrdinalCrossentropy(crossentropy)(labels, logits)) for logits in misses)
    assert plain[0] == pytest.approx(plain[1])
    assert near < far - 0.5
    _, gradient = slopes(OrdinalCrossentropy(crossentropy), labels[:, :3], misses[0][:, :3])
    assert np.isfinite(gradient).all()
