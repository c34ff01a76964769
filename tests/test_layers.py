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


def norm_silu(x, norm, epsilon=1e-3):
    gamma, beta, mean, variance = (to_numpy(v) for v in norm.weights)
    x = (x - mean) / np.sqrt(variance + epsilon) * gamma + beta
    return x / (1 + np.exp(-x))


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


class TestInitialValues:
    def test_glorot_uniform(self):
        # Large enough that the spread of the sample is known to a per cent.
        images = keras.Input((8, 8, 64))
        model = keras.Model(images, layers.conv_block(images, 128, 3, name="b"))
        kernel = to_numpy(model.get_layer("b_conv").kernel)
        limit = np.sqrt(6 / (9 * 64 + 9 * 128))
        assert 0.99 * limit < np.abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)

    def test_the_stem_has_the_distribution_of_the_3x3_kernel(self):
        images = keras.Input((8, 8, 16))
        model = keras.Model(images, layers.focus_stem(images, 256, name="stem"))
        conv = model.get_layer("stem_conv")
        limit = np.sqrt(6 / (9 * 64 + 9 * 256))
        for kernel in (conv.kernel, conv.kernel_initializer((6, 6, 16, 256))):
            assert 0.99 * limit < np.abs(to_numpy(kernel)).max() <= limit

    def test_a_seed_gives_the_same_kernels_and_layers_differ(self):
        def kernels():
            keras.utils.set_random_seed(3)
            images = keras.Input((8, 8, 4))
            model = keras.Model(images, layers.csp_stage(images, 8, 1, name="csp"))
            return [to_numpy(v) for v in model.trainable_variables if v.name == "kernel"]

        first, second = kernels(), kernels()
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(first[0], first[1])

    def test_saved_layers_keep_keras_own_initializers(self):
        images = keras.Input((8, 8, 4))
        model = keras.Model(images, layers.depthwise_conv_block(images, 8, name="b"))
        config = model.get_layer("b_depthwise_conv").get_config()
        assert config["depthwise_initializer"]["class_name"] == "GlorotUniform"
        config = model.get_layer("b_pointwise_conv").get_config()
        assert config["kernel_initializer"]["class_name"] == "GlorotUniform"


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
