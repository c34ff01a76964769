"""Initial values of kernels, as the blocks have them."""

import keras
import numpy as np
import pytest

from cspdarknet import layers
from support import to_numpy


def test_glorot_uniform():
    # Large enough that the spread of the sample is known to a per cent.
    images = keras.Input((8, 8, 64))
    model = keras.Model(images, layers.conv_block(images, 128, 3, name="b"))
    kernel = to_numpy(model.get_layer("b_conv").kernel)
    limit = np.sqrt(6 / (9 * 64 + 9 * 128))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


def test_the_stem_has_the_distribution_of_the_3x3_kernel():
    images = keras.Input((8, 8, 16))
    model = keras.Model(images, layers.focus_stem(images, 256, name="stem"))
    conv = model.get_layer("stem_conv")
    limit = np.sqrt(6 / (9 * 64 + 9 * 256))
    for kernel in (conv.kernel, conv.kernel_initializer((6, 6, 16, 256))):
        assert 0.99 * limit < np.abs(to_numpy(kernel)).max() <= limit


def test_a_seed_gives_the_same_kernels_and_layers_differ():
    def kernels():
        keras.utils.set_random_seed(3)
        images = keras.Input((8, 8, 4))
        model = keras.Model(images, layers.csp_stage(images, 8, 1, name="csp"))
        return [to_numpy(v) for v in model.trainable_variables if v.name == "kernel"]

    first, second = kernels(), kernels()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], first[1])


def test_saved_layers_keep_keras_own_initializers():
    images = keras.Input((8, 8, 4))
    model = keras.Model(images, layers.depthwise_conv_block(images, 8, name="b"))
    config = model.get_layer("b_depthwise_conv").get_config()
    assert config["depthwise_initializer"]["class_name"] == "GlorotUniform"
    config = model.get_layer("b_pointwise_conv").get_config()
    assert config["kernel_initializer"]["class_name"] == "GlorotUniform"
