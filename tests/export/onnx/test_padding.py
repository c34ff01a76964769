"""Padding as numbers, for images of a fixed size."""

import keras
import numpy as np
import pytest

from cspdarknet.export import build_onnx
from support import randomize, relative_error

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend


def padding(model):
    return {
        attribute.name: list(attribute.ints) or attribute.s
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name in ("auto_pad", "pads")
    }


@pytest.mark.parametrize(
    ("size", "expected"),
    [((9, 12), [1, 0, 1, 1]), ((8, 11), [0, 1, 1, 1])],
)
@pytest.mark.parametrize("kind", ["convolution", "pool"])
def test_same_padding_with_strides(run_onnxruntime, size, expected, kind):
    x = keras.Input((None, None, 3))
    layer = {"convolution": keras.layers.Conv2D(3, 3, 2, padding="same")}.get(
        kind, keras.layers.MaxPooling2D(3, 2, padding="same")
    )
    model = randomize(keras.Model(x, layer(keras.layers.Activation("relu")(x))))
    assert padding(build_onnx(model)) == {"auto_pad": b"SAME_UPPER"}
    fixed = build_onnx(model, inputs="float32", image_size=size)
    assert padding(fixed) == {"pads": expected}
    images = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = model.predict_on_batch(images)
    assert relative_error(run_onnxruntime(fixed, images)["features"], expected) < 1e-5
