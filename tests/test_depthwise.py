"""Sums of shifted products are the depthwise convolutions of Keras, forward and backward."""

import keras
import numpy as np
import pytest

from cspdarknet._depthwise import use_shifted_products
from cspdarknet.models import CSPDarkNetBackbone

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="about JAX")

CASES = [((7, 9), 3, 1, 1), ((8, 5), 3, 2, 1), ((6, 6), 5, 1, 1), ((9, 10), 3, 1, (2, 4))]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("size", "window", "stride", "dilation"), CASES)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_outputs_and_gradients_are_those_of_keras(
    data_format, size, window, stride, dilation, padding
):
    import jax

    def values(layer):
        def loss(x, kernel):
            with keras.StatelessScope([(layer.kernel, kernel)]):
                y = layer(x)
            return (y * weights[: y.size].reshape(y.shape)).sum(), y

        gradients, y = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(x, kernel)
        return [y, *gradients]

    rng = np.random.default_rng(0)
    shape = (3, *size, 4) if data_format == "channels_last" else (3, 4, *size)
    x, weights = rng.normal(size=shape).astype("float32"), rng.normal(size=2000).astype("float32")
    kernel = rng.normal(size=(window, window, 4, 1)).astype("float32")
    options = {"strides": stride, "padding": padding, "data_format": data_format}
    options["dilation_rate"] = dilation
    layers = [keras.layers.DepthwiseConv2D(window, use_bias=False, **options) for _ in range(2)]
    own = use_shifted_products(layers[0])
    for layer in layers:
        layer.build(x.shape)
    for value, expected in zip(values(own), values(layers[1]), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_the_blocks_use_them_and_are_saved_as_plain_layers(tmp_path):
    import jax

    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True, use_depthwise=True)
    x = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3)).astype("float32")
    text = jax.make_jaxpr(lambda x: backbone(x))(x).pretty_print()
    assert "scan" in text
    assert "feature_group_count=4" not in text
    plain = keras.Model(backbone.input, backbone.output)
    plain.save(tmp_path / "plain.keras")
    again = keras.saving.load_model(tmp_path / "plain.keras")
    assert "call" not in vars(next(o for o in again.layers if "depthwise_conv" in o.name))
    np.testing.assert_allclose(again(x), backbone(x), rtol=1e-4, atol=1e-5)


def test_half_precision_is_summed_in_float32():
    layer = keras.layers.DepthwiseConv2D(3, use_bias=False, dtype="bfloat16")
    layer.build((1, 3, 3, 1))
    layer.kernel.assign(np.array([256.0] + [1.0] * 8).reshape(3, 3, 1, 1))
    assert float(use_shifted_products(layer)(np.ones((1, 3, 3, 1)))[0, 0, 0, 0]) == 264
