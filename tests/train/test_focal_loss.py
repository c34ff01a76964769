"""The focal loss of classifiers, on every backend."""

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.train import ClassificationRecipe, Phase, Teacher
from cspdarknet.train.distillation import DISTILLED, classifier_loss
from cspdarknet.train.focal_loss import FocalCrossentropy
from cspdarknet.train.tasks import ClassificationTask
from gradients import gradients
from support import TINY_NET, to_numpy


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def batch(seed=0):
    """Return logits and mixtures of one-hot labels, as MixUp and CutMix make them."""
    rng = np.random.default_rng(seed)
    one_hot = np.eye(4)[rng.integers(0, 4, (2, 6))]
    mixed = 0.7 * one_hot[0] + 0.3 * one_hot[1]
    return rng.normal(0, 2, (6, 4)).astype("float32"), mixed.astype("float32")


def expected(labels, logits, gamma, smoothing=0.0):
    p = softmax(logits.astype("float64"))
    y = labels * (1 - smoothing) + smoothing / labels.shape[1]
    return -(y * (1 - p) ** gamma * np.log(p)).sum(axis=1)


@pytest.mark.parametrize(("gamma", "smoothing"), [(0.0, 0.0), (0.5, 0.1), (2.0, 0.0), (2.0, 0.2)])
def test_values_are_those_of_numpy_and_keras(gamma, smoothing):
    logits, labels = batch()
    weights = np.array([1, 0, 2, 1, 0.5, 3], "float32")
    loss = FocalCrossentropy(gamma, smoothing)
    peer = keras.losses.CategoricalFocalCrossentropy(1.0, gamma, True, smoothing)
    each = expected(labels, logits, gamma, smoothing)
    np.testing.assert_allclose(float(loss(labels, logits)), each.mean(), rtol=2e-6)
    weighted = float(loss(labels, logits, sample_weight=weights))
    np.testing.assert_allclose(weighted, (each * weights).mean(), rtol=2e-6)
    np.testing.assert_allclose(weighted, float(peer(labels, logits, weights)), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradients_of_extreme_logits(gamma):
    """A label of probability 0 in float32 still pulls, and one of probability 1 is not a NaN."""
    logits = np.array([[60.0, -60, -60], [-60, 60, -60], [1, 2, 3]], "float32")
    labels = np.eye(3, dtype="float32")[[0, 0, 2]]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(1.0)])
    model.add(keras.layers.Dense(3, use_bias=False, kernel_initializer="identity"))
    loss = FocalCrossentropy(gamma)
    value, by_path = gradients(model, lambda outputs: loss(labels, outputs), logits)
    (gradient,) = map(to_numpy, by_path.values())
    assert np.isfinite(gradient).all()
    assert value == pytest.approx(expected(labels, logits, gamma).mean(), rel=1e-5)
    # dL/dlogits of the second image is (p - y) but for terms of the order of p.
    step = 1e-3
    for i, j in np.ndindex(3, 3):
        kernel = np.eye(3)
        kernel[i, j] += step
        upper = expected(labels, logits @ kernel, gamma).mean()
        kernel[i, j] -= 2 * step
        lower = expected(labels, logits @ kernel, gamma).mean()
        assert gradient[i, j] == pytest.approx((upper - lower) / (2 * step), rel=1e-2, abs=1e-3)


def task(gamma, teacher=None):
    recipe = ClassificationRecipe((Phase(1),), label_smoothing=0.1, focal_gamma=gamma)
    return ClassificationTask(recipe, teacher=teacher)


def test_the_recipe_chooses_the_loss_and_distillation_adds_to_it():
    """Class weights are the weights of the images; labels are mixed and smoothed."""
    logits, labels = batch()
    teacher, _ = batch(1)
    weights = np.array([1, 0, 2, 1, 0.5, 3], "float32")
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    model = DISTILLED[ImageClassifier](backbone, 4, activation=None)
    model.teacher = Teacher("a preset", weight=0.5, temperature=2.0)
    of_teacher = float(classifier_loss(logits, teacher, 2.0, weights))
    targets = {"labels": labels, "teacher_logits": teacher}
    for gamma in (0.0, 1.5):
        task(gamma).compile(model, "sgd")
        found = float(model.compute_loss(None, targets, logits, weights))
        focal = (expected(labels, logits, gamma, 0.1) * weights).mean()
        assert found == pytest.approx(focal + 0.5 * of_teacher, rel=1e-5)


@pytest.mark.one_backend
def test_without_gamma_the_loss_is_that_of_keras():
    model = ImageClassifier(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True), 4)
    task(0).compile(model, "sgd")
    assert type(model.loss) is keras.losses.CategoricalCrossentropy
    task(2).compile(model, "sgd")
    assert (model.loss.gamma, model.loss.label_smoothing) == (2.0, 0.1)


@pytest.mark.one_backend
def test_older_runs_without_it_continue():
    from cspdarknet.train.differences import differences

    given = ClassificationRecipe((Phase(1),)).to_json()
    stored = {name: value for name, value in given.items() if name != "focal_gamma"}
    assert not differences({"recipe": stored}, {"recipe": given})
    with_gamma = {**given, "focal_gamma": 2.0}
    assert differences({"recipe": stored}, {"recipe": with_gamma}) == ["focal gamma default → 2.0"]
