"""The building blocks, compared with NumPy implementations."""

import keras
import numpy as np
import pytest

from cspdarknet import layers
from cspdarknet.checkpoints import stem
from support import randomize, relative_error, to_numpy

RNG = np.random.default_rng(0)


def run(block, x):
    """Apply a block of fresh weights to an array; return the model too."""
    images = keras.Input(x.shape[1:])
    model = randomize(keras.Model(images, block(images)))
    return model, to_numpy(model(x))


def convolve(x, kernel, strides, before, after):
    """A convolution in float64, with zeros before and after the image."""
    size = kernel.shape[0]
    x = np.pad(x.astype("float64"), ((0, 0), (before, after), (before, after), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    windows = windows[:, ::strides, ::strides]
    return np.einsum("bhwcij,ijcf->bhwf", windows, kernel.astype("float64"))


ACTIVATIONS = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.1 * x),
    "leaky_relu_0.01": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}


def normalized(x, norm, epsilon=1e-3):
    gamma, beta, mean, variance = (to_numpy(v) for v in norm.weights)
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def norm_silu(x, norm):
    return ACTIVATIONS["silu"](normalized(x, norm))


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_conv_block_at_stride_2(size, padding):
    x = RNG.normal(size=(2, size, size, 3))
    settings = layers.BlockSettings(padding=padding)
    model, y = run(lambda t: layers.conv_block(t, 5, 3, 2, name="b", settings=settings), x)
    before, after = (0, 1) if padding == "same" and size % 2 == 0 else (1, 1)
    kernel = to_numpy(model.get_layer("b_conv").kernel)
    expected = norm_silu(convolve(x, kernel, 2, before, after), model.get_layer("b_bn"))
    assert relative_error(y, expected) <= 1e-5


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_activations(name, dtype):
    x = 5 * RNG.normal(size=(2, 4, 4, 8))
    settings = layers.BlockSettings(activation=name, dtype=dtype)
    model, y = run(lambda t: layers.conv_block(t, 9, 1, name="b", settings=settings), x)
    assert model.layers[-1].name == "b"
    kernel = to_numpy(model.get_layer("b_conv").kernel)
    expected = ACTIVATIONS[name](normalized(convolve(x, kernel, 1, 0, 0), model.get_layer("b_bn")))
    assert relative_error(y.astype("float32"), expected) <= (1e-5 if dtype == "float32" else 0.02)


@pytest.mark.one_backend
def test_silu_is_the_default_and_an_activation_layer():
    x = keras.Input((4, 4, 3))
    layer = keras.Model(x, layers.conv_block(x, 3, name="b")).get_layer("b")
    assert type(layer) is keras.layers.Activation
    assert layer.get_config()["activation"] == "silu"


def test_focus_stem_is_slices_then_a_3x3_convolution():
    x = RNG.normal(size=(2, 10, 14, 3))
    model, y = run(lambda t: layers.focus_stem(t, 8, name="stem"), x)
    slices = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    kernel = stem.fold(to_numpy(model.get_layer("stem_conv").kernel))
    expected = convolve(np.concatenate(slices, axis=-1), kernel, 1, 1, 1)
    assert relative_error(y, norm_silu(expected, model.get_layer("stem_bn"))) <= 1e-5


@pytest.mark.parametrize("size", [(9, 14), (10, 13), (11, 11), (1, 1)])
def test_focus_stem_takes_odd_sizes_as_if_zeros_followed(size):
    x = RNG.normal(size=(1, *size, 3))
    block = keras.Input((None, None, 3))
    model = randomize(keras.Model(block, layers.focus_stem(block, 8)))
    padded = np.pad(x, ((0, 0), (0, size[0] % 2), (0, size[1] % 2), (0, 0)))
    assert relative_error(model(x), to_numpy(model(padded))) <= 1e-5


@pytest.mark.parametrize("size", [(20, 17), (3, 2)])
def test_spp_pools_are_direct_maxima(size):
    x = RNG.normal(size=(1, *size, 6))
    images = keras.Input(x.shape[1:])
    y = layers.spp(images, 8, name="spp")
    model = keras.Model(images, y)
    names = ["spp_conv1", "spp_maxpool_5", "spp_maxpool_9", "spp_maxpool_13"]
    inspect = keras.Model(images, [model.get_layer(name).output for name in names])
    first, *pooled = (to_numpy(value) for value in inspect(x))
    for width, value in zip((5, 9, 13), pooled, strict=True):
        pad = width // 2
        padded = np.pad(first, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), axis=(1, 2))
        np.testing.assert_array_equal(value, windows.max((-2, -1)))


def test_spp_refuses_other_pool_sizes():
    for sizes in [(4,), (9, 5), (5, 5), (1, 5)]:
        with pytest.raises(ValueError, match="pool_sizes"):
            layers.spp(keras.Input((8, 8, 4)), 8, sizes)


def test_csp_stage_concatenates_bottlenecks_first():
    x = RNG.normal(size=(1, 6, 6, 8))
    model, _ = run(lambda t: layers.csp_stage(t, 8, 1, name="csp"), x)
    concat = model.get_layer("csp_concat")
    names = [tensor._keras_history.operation.name for tensor in concat.input]
    assert names == ["csp_bottleneck1_add", "csp_conv2"]


def test_blocks_work_without_names():
    x = keras.Input((16, 16, 3))
    x = layers.focus_stem(x, 8)
    x = layers.depthwise_conv_block(x, 12, strides=2)
    x = layers.csp_stage(x, 12, 2, use_depthwise=True)
    assert layers.spp(x, 16, pool_sizes=(3, 7)).shape == (None, 4, 4, 16)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (None, "float32"),
        ("mixed_float16", "float32"),
        ("bfloat16", "float32"),
        ("float64", "float64"),
        (keras.dtype_policies.DTypePolicy("float64"), "float64"),
    ],
)
def test_outputs_are_never_in_half_precision(dtype, expected):
    assert layers.float32_or_wider(dtype) == expected
    y = layers.prediction_conv(
        keras.Input((4, 4, 3)), 2, settings=layers.BlockSettings(dtype=dtype)
    )
    assert y.dtype == expected
