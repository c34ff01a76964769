"""The CSPDarkNet network: its layers, and that it takes any architecture and any image size."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet.checkpoints.readers import yolox
from cspdarknet.checkpoints.targets import collect
from cspdarknet.layers import ACTIVATIONS
from cspdarknet.models import CSPDarkNetBackbone
from gradients import gradients
from support import (
    SMALL,
    TINY_NET,
    needs_channels_first,
    randomize,
    relative_error,
    to_numpy,
)
from torch_darknet import torch_features
from yolox_files import yolox_like

stages = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(2, 9), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)

options = st.fixed_dictionaries(
    {
        "include_rescaling": st.booleans(),
        "use_depthwise": st.booleans(),
        "padding": st.sampled_from(["same", "symmetric"]),
    }
)


def parameters(channels, depth, use_depthwise, bands):
    """Count the parameters from the paper's description: 4 for each batch-norm channel."""

    def conv(size, before, after):
        return size * size * before * after + 4 * after

    def spatial(before, after):
        if use_depthwise:
            return 9 * before + 4 * before + conv(1, before, after)
        return conv(3, before, after)

    total = conv(3, 4 * bands, channels[0] // 2)
    before = channels[0] // 2
    for i, (after, bottlenecks) in enumerate(zip(channels, depth, strict=True)):
        half = after // 2
        total += spatial(before, after)
        if i == len(channels) - 1:
            total += conv(1, after, half) + conv(1, 4 * half, after)
        total += 2 * conv(1, after, half) + conv(1, 2 * half, after)
        total += bottlenecks * (conv(1, half, half) + spatial(half, half))
        before = after
    return total


@pytest.mark.one_backend
@settings(max_examples=12)
@given(
    stages,
    options,
    st.integers(1, 5),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.integers(0, 2),
)
def test_any_architecture_on_any_size(architecture, kwargs, bands, size, batch):
    channels, depth = architecture
    model = CSPDarkNetBackbone(channels, depth, **kwargs, input_shape=(None, None, bands))
    assert model.count_params() == parameters(channels, depth, kwargs["use_depthwise"], bands)
    x = np.random.default_rng(0).uniform(0, 255, (batch, *size, bands))
    features = model.feature_pyramid(list(model.pyramid_level_inputs))(x)
    for level, value in features.items():
        stride = model.feature_strides[level]
        expected = [-(-pixels // stride) for pixels in size]
        assert tuple(value.shape) == (batch, *expected, model.feature_channels[level])
        assert np.isfinite(to_numpy(value)).all()
    config = model.get_config()
    assert CSPDarkNetBackbone.from_config(config).get_config() == config


@pytest.mark.one_backend
@settings(max_examples=6)
@given(st.integers(1, 3), st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_images_of_a_batch_do_not_see_each_other(batch, steps):
    model = randomize(CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True))
    x = np.random.default_rng(1).uniform(0, 255, (batch, 8 * steps[0], 8 * steps[1], 3))
    together = to_numpy(model(x))
    for i in range(batch):
        assert relative_error(model(x[i : i + 1]), together[i : i + 1]) <= 1e-5


@settings(max_examples=6)
@given(st.integers(1, 12), st.integers(1, 12))
def test_paddings_agree_where_every_size_is_odd(height, width):
    # 8n + 1 pixels stay odd under every halving; there both rules pad one pixel on each side.
    x = np.random.default_rng(2).uniform(0, 255, (1, 2 * (8 * height) + 1, 2 * (8 * width) + 1, 3))
    same = randomize(CSPDarkNetBackbone([4, 6], [1, 1], True))
    symmetric = CSPDarkNetBackbone([4, 6], [1, 1], True, padding="symmetric")
    symmetric.set_weights(same.get_weights())
    assert relative_error(symmetric(x), to_numpy(same(x))) <= 1e-5


def test_paddings_differ_on_even_sizes():
    x = np.random.default_rng(2).uniform(0, 255, (1, 32, 32, 3))
    same = randomize(CSPDarkNetBackbone([4, 6], [1, 1], True))
    symmetric = CSPDarkNetBackbone([4, 6], [1, 1], True, padding="symmetric")
    symmetric.set_weights(same.get_weights())
    assert relative_error(symmetric(x), to_numpy(same(x))) > 1e-2


def test_the_deepest_level_sees_the_last_pixel():
    model = randomize(CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=False))
    x = keras.ops.zeros((1, 48, 48, 3))
    changed = np.zeros((1, 48, 48, 3))
    changed[0, -1, -1] = 100
    before, after = to_numpy(model(x)), to_numpy(model(changed))
    assert (before[0, -1, -1] != after[0, -1, -1]).any()


@pytest.mark.parametrize("stages", [1, 2, 5])
def test_any_number_of_stages(stages):
    model = CSPDarkNetBackbone([8] * stages, [1] * stages, False)
    assert list(model.pyramid_level_inputs) == [f"P{i + 2}" for i in range(stages)]
    assert f"dark{stages + 1}_spp_concat" in [layer.name for layer in model.layers]
    side = 16 >> (stages - 1)
    assert tuple(model(np.ones((1, 64, 64, 3))).shape) == (1, side, side, 8)


@pytest.mark.one_backend
def test_last_stage_has_no_residual_and_depth_0_has_no_bottleneck():
    model = CSPDarkNetBackbone([8, 8], [1, 1], False)
    names = [layer.name for layer in model.layers]
    assert "dark2_csp_bottleneck1_add" in names
    assert "dark3_csp_bottleneck1_add" not in names
    model = CSPDarkNetBackbone([8], [0], False)
    assert not any("bottleneck" in layer.name for layer in model.layers)


@pytest.mark.one_backend
def test_odd_channels_halve_by_floor_division():
    model = CSPDarkNetBackbone([170], [1], False)
    assert model.get_layer("dark2_csp_conv1_conv").filters == 85


@pytest.mark.one_backend
def test_layer_names_say_where_a_layer_is(small):
    names = [layer.name for layer in small.layers]
    assert len(set(names)) == len(names)
    for name in (
        "rescaling",
        "stem_conv",
        "dark3_csp_bottleneck2_conv1_conv",
        "dark5_spp_maxpool_13",
        "dark5_csp",
    ):
        assert name in names
    again = CSPDarkNetBackbone(**SMALL, include_rescaling=True)
    assert [v.path for v in again.variables] == [v.path for v in small.variables]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float64"])
def test_any_type_of_pixels(small, dtype):
    x = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3))
    randomize(small)
    expected = to_numpy(small(x.astype("float32")))
    assert relative_error(small(x.astype(dtype)), expected) <= 1e-6


def test_rescaling_is_division_by_255(photo):
    plain = randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=False))
    scaled = CSPDarkNetBackbone(**SMALL, include_rescaling=True)
    scaled.set_weights(plain.get_weights())
    assert relative_error(scaled(photo), to_numpy(plain(photo / 255))) <= 1e-4


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_those_of_a_network_in_pytorch(activation):
    model = yolox_like(activation=activation)
    x = np.random.default_rng(0).uniform(0, 255, (2, 34, 48, 3))
    weights = collect(yolox.layout(model))
    expected = torch_features(weights, x[..., ::-1].transpose(0, 3, 1, 2).copy(), activation)
    assert relative_error(model(x), expected.transpose(0, 2, 3, 1)) <= 1e-5


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_reach_every_weight_of_each_activation(activation):
    options = {"activation": activation, "mean": (100.0, 110.0, 120.0), "std": (50.0, 60.0, 70.0)}
    model = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=False, **options))
    x = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    loss, grads = gradients(model, lambda y: keras.ops.mean(keras.ops.square(y)), x)
    assert np.isfinite(loss)
    for path, gradient in grads.items():
        assert np.isfinite(to_numpy(gradient)).all(), path
        assert np.any(to_numpy(gradient)), path


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class TestNormalization:
    """`mean` and `std` are those of a model without them on normalized pixels."""

    def models(self, **options):
        plain = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=False))
        model = CSPDarkNetBackbone(**TINY_NET, **{"include_rescaling": True, **options})
        model.set_weights(plain.get_weights())
        return plain, model

    def normalized(self, x, mean, std, scale=255.0):
        return (x.astype("float64") / scale - mean) / np.asarray(std)

    # One row, odd and even sizes: the zeros around an image are zeros after the normalization.
    @pytest.mark.parametrize("size", [(1, 1), (5, 8), (33, 31), (64, 48)])
    def test_normalized_pixels(self, size):
        plain, model = self.models(**IMAGENET)
        x = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype("float32")
        expected = to_numpy(plain(self.normalized(x, **IMAGENET).astype("float32")))
        assert relative_error(model(x), expected) <= 1e-6

    def test_without_the_division_by_255(self):
        mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
        plain, model = self.models(include_rescaling=False, mean=mean, std=std)
        x = np.random.default_rng(0).integers(0, 256, (1, 33, 48, 3)).astype("float32")
        expected = to_numpy(plain(self.normalized(x, mean, std, 1.0).astype("float32")))
        assert relative_error(model(x), expected) <= 1e-6

    @needs_channels_first
    @pytest.mark.parametrize("default", ["channels_last", "channels_first"])
    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    def test_the_channels_are_found_whatever_keras_has_as_its_default(self, data_format, default):
        x = np.random.default_rng(0).integers(0, 256, (1, 3, 3, 3)).astype("float32")
        plain = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=False))
        expected = to_numpy(plain(self.normalized(x, **IMAGENET).astype("float32")))
        keras.config.set_image_data_format(default)
        options = {"include_rescaling": True, "data_format": data_format, **IMAGENET}
        model = CSPDarkNetBackbone(**TINY_NET, **options)
        model.set_weights(plain.get_weights())
        if data_format == "channels_first":
            x, expected = x.transpose(0, 3, 1, 2), expected.transpose(0, 3, 1, 2)
        assert relative_error(model(x), expected) <= 1e-6
        assert model.count_params() == plain.count_params()

    @pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "mixed_float16", "float64"])
    def test_pixels_are_normalized_in_float32_or_wider(self, dtype):
        images = keras.Input((6, 6, 3), dtype="uint8")
        model = CSPDarkNetBackbone(
            **TINY_NET, include_rescaling=True, input_tensor=images, dtype=dtype, **IMAGENET
        )
        front = keras.Model(images, model.get_layer("rescaling").output)
        x = np.random.default_rng(0).integers(0, 256, (1, 6, 6, 3)).astype("uint8")
        assert front.output.dtype == ("float64" if dtype == "float64" else "float32")
        assert relative_error(front(x), self.normalized(x, **IMAGENET)) <= 1e-6
        assert np.isfinite(to_numpy(model(x)).astype("float32")).all()

    @pytest.mark.one_backend
    def test_the_rescaling_is_one_layer_without_weights(self):
        _, model = self.models(**IMAGENET)
        kinds = [type(layer) for layer in model.layers]
        assert kinds.count(keras.layers.Rescaling) == 1
        assert (model.mean, model.std) == (IMAGENET["mean"], IMAGENET["std"])


EMPTY_BATCH = pytest.param(
    (0, 64, 64, 3),
    marks=pytest.mark.skipif(
        keras.backend.backend() == "tensorflow",
        reason="Keras 3.15 on TensorFlow returns an empty batch as it is",
    ),
)


@pytest.mark.parametrize("shape", [EMPTY_BATCH, (1, 1, 1, 3), (2, 2, 3, 3), (1, 31, 33, 3)])
def test_unusual_sizes(small, shape):
    height, width = (-(-size // 32) for size in shape[1:3])
    assert tuple(small(np.ones(shape)).shape) == (shape[0], height, width, 128)


@pytest.mark.parametrize("channels", [1, 4, 7])
def test_other_numbers_of_bands(channels):
    model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_shape=(33, 20, channels))
    assert model.input_shape == (None, 33, 20, channels)
    assert tuple(model(np.ones((1, 33, 20, channels))).shape) == (1, 5, 3, 6)


@pytest.mark.one_backend
def test_image_shape_is_another_name_for_input_shape():
    model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, image_shape=(32, 32, 1))
    assert model.input_shape == (None, 32, 32, 1)
    assert tuple(model.image_shape) == (32, 32, 1)


def test_fixed_size_refuses_another():
    model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="shape"):
        model(np.ones((1, 64, 64, 3)))


class TestInputTensor:
    def test_keras_input(self, photo):
        images = keras.Input((37, 53, 3))
        model = CSPDarkNetBackbone(**SMALL, include_rescaling=True, input_tensor=images)
        assert model.input is images
        assert model.input_shape == (None, 37, 53, 3)
        assert tuple(model(photo).shape) == (1, 2, 2, 128)

    def test_intermediate_tensor_stays_in_the_larger_model(self):
        images = keras.Input((64, 64, 1), name="gray")
        x = keras.layers.Conv2D(3, 1, name="to_rgb")(images)
        backbone = CSPDarkNetBackbone(**SMALL, include_rescaling=True, input_tensor=x)
        pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
        model = keras.Model(images, pooled)
        assert "to_rgb" in [layer.name for layer in model.layers]
        assert tuple(model(np.ones((2, 64, 64, 1))).shape) == (2, 128)
        # The predecessors belong to the backbone, as in keras.applications.
        assert backbone.input is images
        assert tuple(backbone(np.ones((1, 64, 64, 1))).shape) == (1, 2, 2, 128)
        levels = keras.Model(images, backbone.pyramid_outputs)
        assert tuple(levels(np.ones((1, 64, 64, 1)))["P2"].shape) == (1, 16, 16, 16)

    def test_behind_many_residual_connections(self):
        images = x = keras.Input((32, 32, 3))
        for _ in range(60):
            x = keras.layers.Add()([x, keras.layers.Activation("relu")(x)])
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_tensor=x)
        assert model.input is images

    @pytest.mark.parametrize("include_rescaling", [False, True])
    def test_integer_pixels(self, include_rescaling):
        images = keras.Input((32, 32, 3), dtype="uint8")
        options = {**TINY_NET, "include_rescaling": include_rescaling}
        model = randomize(CSPDarkNetBackbone(**options, input_tensor=images))
        plain = randomize(CSPDarkNetBackbone(**options))
        x = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype("uint8")
        assert relative_error(model(x), to_numpy(plain(x.astype("float32")))) <= 1e-6

    def test_a_rescaling_in_front(self):
        images = keras.Input((32, 32, 3))
        x = keras.layers.Rescaling(2.0, name="rescaling")(images)
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_tensor=x)
        assert tuple(model(np.ones((1, 32, 32, 3))).shape) == (1, 4, 4, 6)

    def test_two_sources(self):
        a, b = keras.Input((32, 32, 1)), keras.Input((32, 32, 2))
        x = keras.layers.Concatenate()([a, b])
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=False, input_tensor=x)
        y = model([np.ones((1, 32, 32, 1)), np.ones((1, 32, 32, 2))])
        assert tuple(y.shape) == (1, 4, 4, 6)
