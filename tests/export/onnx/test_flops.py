"""The number of floating-point operations of a graph."""

import keras
import pytest

from cspdarknet.export import build_onnx
from cspdarknet.export.onnx.flops import count_flops
from cspdarknet.models import CSPDarkNetBackbone

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend


def test_convolutions_and_dense_layers():
    x = keras.Input((8, 8, 4))
    y = keras.layers.Conv2D(6, 3, padding="same", groups=2)(x)
    y = keras.layers.DepthwiseConv2D(3, strides=2, padding="same")(y)
    y = keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(y))
    products = 8 * 8 * 6 * 9 * 2 + 4 * 4 * 6 * 9 + 6 * 5
    model = build_onnx(keras.Model(x, y))
    assert count_flops(model, (1, 8, 8, 4)) == 2 * products
    assert count_flops(model, (3, 8, 8, 4)) == 3 * 2 * products


def test_shapes_that_depend_on_the_image_size(backbone):
    model = build_onnx(backbone)
    assert count_flops(model, (1, 128, 64, 3)) == 2 * count_flops(model, (1, 64, 64, 3))


@pytest.mark.parametrize(("size", "gflop"), [("tiny", 0.766), ("m", 4.090)])
def test_backbone_sizes(size, gflop):
    model = build_onnx(CSPDarkNetBackbone.from_preset(f"csp_darknet_{size}"))
    assert count_flops(model, (1, 224, 224, 3)) / 1e9 == pytest.approx(gflop, abs=1e-3)
