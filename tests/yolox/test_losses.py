"""The losses of YOLOX: finite for any input, and equal to a NumPy implementation."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings

from cspdarknet.yolox.losses import LOSS_NAMES, yolox_losses
from support import to_numpy
from yolox_examples import ANCHORS, CLASSES, SIZE, STRIDES, examples


def losses_of(outputs, boxes, classes, **kwargs):
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in outputs.items()}
    losses = yolox_losses(tensors, boxes, classes, (SIZE, SIZE), STRIDES, **kwargs)
    return {name: float(to_numpy(value)) for name, value in losses.items()}


@settings(max_examples=60)
@given(examples())
def test_losses_are_finite_and_not_negative(example):
    outputs, boxes, classes = example
    losses = losses_of(outputs, boxes, classes)
    assert tuple(losses) == LOSS_NAMES
    for name, value in losses.items():
        assert np.isfinite(value), name
        assert value >= 0, name
    if ((classes < 0) | (classes >= CLASSES)).all():
        assert losses["box"] == losses["class"] == losses["l1"] == 0


def random_outputs(batch):
    rng = np.random.default_rng(0)
    sizes = {"boxes": 4, "objectness": 1, "classes": CLASSES}
    return {n: rng.normal(size=(batch, ANCHORS, s)).astype("float32") for n, s in sizes.items()}


BOX = [20.0, 24, 16, 12]


@pytest.mark.one_backend
def test_impossible_objects_are_padding():
    outputs = random_outputs(batch=1)
    expected = losses_of(outputs, np.array([[BOX, BOX]], "float32"), np.array([[1, -1]]))
    for box, class_id in (
        ([np.nan, 24, 16, 12], 1),
        ([20, np.inf, 16, 12], 1),
        ([20, 24, -16, 12], 1),
        (BOX, CLASSES),
    ):
        boxes, classes = np.array([[BOX, box]], "float32"), np.array([[1, class_id]])
        assert losses_of(outputs, boxes, classes) == pytest.approx(expected, rel=1e-6)


@pytest.mark.one_backend
def test_only_the_ratios_of_sample_weights_matter():
    outputs = random_outputs(batch=2)
    boxes, classes = np.array([[BOX], [BOX[::-1]]], "float32"), np.array([[1], [2]])
    plain = losses_of(outputs, boxes, classes)
    for weight, expected in (([1, 1], True), ([7, 7], True), ([7, 1], False)):
        weighted = losses_of(outputs, boxes, classes, sample_weight=np.array(weight, "float32"))
        assert (weighted == pytest.approx(plain, rel=1e-5)) is expected
    first = {name: value[:1] for name, value in outputs.items()}
    alone = losses_of(outputs, boxes, classes, sample_weight=np.array([1.0, 0], "float32"))
    assert losses_of(first, boxes[:1], classes[:1]) == pytest.approx(alone, rel=1e-5)


@pytest.mark.one_backend
def test_a_perfect_prediction_of_the_only_candidate():
    """One anchor point near one object: each loss in closed form."""
    logit = 2.0
    outputs = {
        "boxes": np.zeros((1, 1, 4), "float32"),  # decodes to the top left corner, one stride wide
        "objectness": np.full((1, 1, 1), logit, "float32"),
        "classes": np.array([[[logit, -logit]]], "float32"),
    }
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in outputs.items()}
    box = np.array([[[0.0, 0, 32, 32]]], "float32")
    losses = yolox_losses(tensors, box, np.zeros((1, 1), "int32"), (32, 32), (32,))
    cross_entropy = np.log1p(np.exp(-logit))
    assert float(losses["box"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["objectness"]) == pytest.approx(cross_entropy, rel=1e-5)
    assert float(losses["class"]) == pytest.approx(2 * cross_entropy, rel=1e-5)
    assert float(losses["l1"]) == pytest.approx(0, abs=1e-5)
