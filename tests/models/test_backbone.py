"""The documented behavior of the backbone."""

import keras
import numpy as np
import pytest

import cspdarknet
from cspdarknet.models import CSPDarkNetBackbone
from support import SMALL, TINY_NET, needs_channels_first, randomize, relative_error, to_numpy


def test_import_as_keras_cv():
    import cspdarknet as keras_cv

    model = keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=[16, 32, 64, 128], stackwise_depth=[1, 1, 1, 1], include_rescaling=False
    )
    assert isinstance(model, keras.Model)
    assert keras_cv.CSPDarkNetBackbone is keras_cv.models.CSPDarkNetBackbone
    # The documentation's example, with NumPy arrays and with backend tensors.
    x = np.ones((8, 224, 224, 3), "float32")
    assert tuple(model.predict(x, verbose=0).shape) == (8, 7, 7, 128)
    assert tuple(model(keras.ops.convert_to_tensor(x[:1])).shape) == (1, 7, 7, 128)


# The documentation's counts; of YOLOX's backbones, the trained parameters that its code computes.
PUBLISHED = {
    "csp_darknet_tiny": 2_380_416,
    "csp_darknet_s": 4_223_488,
    "csp_darknet_m": 12_374_400,
    "csp_darknet_l": 27_111_424,
    "csp_darknet_xl": 56_837_970,
}
PUBLISHED_TRAINED = {
    "yolox_nano_coco": 459_968,
    "yolox_tiny_coco": 2_372_304,
    "yolox_s_coco": 4_212_672,
    "yolox_m_coco": 12_352_992,
    "yolox_l_coco": 27_075_968,
    "yolox_x_coco": 50_301_600,
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", [*PUBLISHED, *PUBLISHED_TRAINED])
def test_parameter_counts_are_the_published_ones(name):
    model = CSPDarkNetBackbone.from_preset(name, load_weights=False)
    assert model.count_params() == CSPDarkNetBackbone.presets[name]["metadata"]["params"]
    if name in PUBLISHED:
        assert model.count_params() == PUBLISHED[name]
    else:
        trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        assert trained == PUBLISHED_TRAINED[name]


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("name", "channels"), [("Tiny", 48), ("S", 64), ("M", 96), ("L", 128), ("XL", 170)]
)
def test_aliases(name, channels):
    alias = getattr(cspdarknet.models, f"CSPDarkNet{name}Backbone")
    model = alias()
    assert type(model) is CSPDarkNetBackbone
    assert issubclass(alias, CSPDarkNetBackbone)
    assert model.stackwise_channels[0] == channels
    assert model.include_rescaling


@pytest.mark.one_backend
def test_both_ways_of_calling_an_alias():
    alias = cspdarknet.models.CSPDarkNetTinyBackbone
    # As in KerasCV's code ...
    model = alias(False, (64, 32, 3))
    assert not model.include_rescaling
    assert model.input_shape == (None, 64, 32, 3)
    assert model.stackwise_channels == [48, 96, 192, 384]
    # ... and as on its documentation page.
    model = alias([16, 32], [1, 1], True, True)
    assert (model.stackwise_channels, model.use_depthwise) == ([16, 32], True)
    model = alias(stackwise_channels=[48, 96, 192, 384], stackwise_depth=[1, 3, 3, 1], name="t")
    assert (model.name, model.count_params()) == ("t", 2_380_416)


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


@pytest.mark.one_backend
def test_pyramid(small):
    assert small.pyramid_level_inputs == {
        "P2": "dark2_csp",
        "P3": "dark3_csp",
        "P4": "dark4_csp",
        "P5": "dark5_csp",
    }
    assert small.feature_channels == {"P2": 16, "P3": 32, "P4": 64, "P5": 128}
    assert small.feature_strides == {"P2": 4, "P3": 8, "P4": 16, "P5": 32}
    # KerasCV's recipe for a feature extractor, by layer names.
    for level, name in small.pyramid_level_inputs.items():
        assert small.get_layer(name).output is small.pyramid_outputs[level]
    assert small.output is small.pyramid_outputs["P5"]


def test_feature_pyramid(small, photo):
    features = small.feature_pyramid()(photo)
    assert {k: tuple(v.shape) for k, v in features.items()} == {
        "P3": (1, 5, 7, 32),
        "P4": (1, 3, 4, 64),
        "P5": (1, 2, 2, 128),
    }
    assert list(small.feature_pyramid([0, -1]).output) == ["P2", "P5"]
    assert list(small.feature_pyramid("P4").output) == ["P4"]
    for bad in (["P6"], ["P1"], [4], [-5], [], ["dark3_csp"]):
        with pytest.raises(ValueError, match="level"):
            small.feature_pyramid(bad)


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


@pytest.mark.parametrize("shape", [(0, 64, 64, 3), (1, 1, 1, 3), (2, 2, 3, 3), (1, 31, 33, 3)])
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


class TestFreeze:
    @pytest.mark.one_backend
    def test_levels(self, small):
        assert small.frozen_stages is None
        assert small.freeze().frozen_stages == 0
        assert small.freeze("P3").frozen_stages == 2
        assert small.freeze(4).frozen_stages == 4
        assert small.trainable_variables == []
        assert small.freeze(1).frozen_stages == 1
        assert not small.get_layer("dark2_csp_conv3_conv").trainable
        assert small.get_layer("dark3_conv_conv").trainable
        assert small.freeze(None).frozen_stages is None
        assert len(small.trainable_variables) == 93

    @pytest.mark.one_backend
    def test_bad_parts(self, small):
        for bad in ("P7", 5, -1, True, "dark2"):
            with pytest.raises(ValueError, match=r"P2, P3, P4, P5|0\.\.4"):
                small.freeze(bad)

    def test_frozen_batch_norm_stays_in_inference_mode(self, small, photo):
        randomize(small).freeze("P2")
        before = {v.path: to_numpy(v) for v in small.non_trainable_variables}
        levels = small.feature_pyramid(["P2"])
        expected = to_numpy(levels(photo, training=False)["P2"])
        assert relative_error(levels(photo, training=True)["P2"], expected) <= 1e-6
        small(photo, training=True)
        after = {v.path: to_numpy(v) for v in small.non_trainable_variables}
        moved = {path for path in before if (before[path] != after[path]).any()}
        assert moved
        assert all(path.startswith(("dark3", "dark4", "dark5")) for path in moved)

    def test_training_leaves_the_frozen_part_alone(self, small):
        small.freeze("P3")
        model = keras.Sequential([small, keras.layers.GlobalAveragePooling2D()])
        model.compile("sgd", "mse")
        before = {v.path: to_numpy(v) for v in small.variables}
        model.fit(np.ones((2, 32, 32, 3)), np.ones((2, 128)), verbose=0)
        moved = {v.path for v in small.variables if (before[v.path] != to_numpy(v)).any()}
        assert any(path.startswith("dark5") for path in moved)
        assert not any(path.startswith(("stem", "dark2", "dark3")) for path in moved)

    def test_survives_a_round_trip(self, small, tmp_path):
        small.freeze("P3").save(tmp_path / "m.keras")
        assert keras.saving.load_model(tmp_path / "m.keras").frozen_stages == 2

    @pytest.mark.one_backend
    def test_layers_frozen_by_hand_survive_too(self, small, tmp_path):
        for layer in small.layers:
            layer.trainable = not layer.name.endswith("_bn")
        before = [v.path for v in small.trainable_variables]
        small.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras")
        assert [v.path for v in again.trainable_variables] == before
        assert all(path.endswith("kernel") for path in before)

    def test_trainable_argument(self, photo):
        model = randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True, trainable=False))
        before = model.get_weights()
        model(photo, training=True)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.one_backend
    def test_a_frozen_model_stays_frozen(self, small, tmp_path):
        small.freeze("P2")
        small.trainable = False
        small.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras")
        assert not again.trainable
        assert again.get_config() == small.get_config()

    @pytest.mark.one_backend
    def test_layers_in_front_keep_their_state(self):
        images = keras.Input((16, 16, 1))
        front = keras.layers.Conv2D(3, 1, name="front")
        front.trainable = False
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_tensor=front(images))
        model.freeze("stem")
        assert not front.trainable
        assert CSPDarkNetBackbone.from_config(model.get_config()).frozen_stages == 0


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


class TestDtype:
    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
    def test_as_an_argument(self, policy, photo):
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype=policy)
        wanted = keras.dtype_policies.get(policy)
        assert model.dtype_policy.name == policy
        assert all(layer.dtype_policy.name == policy for layer in model.layers[1:])
        assert {v.dtype for v in model.variables} == {wanted.variable_dtype}
        for output in model.feature_pyramid([0, 1])(photo).values():
            assert keras.backend.standardize_dtype(output.dtype) == wanted.compute_dtype

    def test_global_policy_and_closeness_to_float32(self, photo):
        exact = randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True))
        keras.config.set_dtype_policy("mixed_float16")
        half = CSPDarkNetBackbone(**SMALL, include_rescaling=True)
        half.set_weights(exact.get_weights())
        # KerasCV's float16 outputs are within 0.4 % of float32 ones.
        assert relative_error(half(photo), to_numpy(exact(photo))) <= 1e-2

    def test_a_saved_model_keeps_its_policy(self, tmp_path):
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype="mixed_bfloat16")
        model.save(tmp_path / "m.keras")
        assert keras.saving.load_model(tmp_path / "m.keras").dtype_policy.name == "mixed_bfloat16"

    def test_policy_map(self):
        policies = keras.dtype_policies.DTypePolicyMap()
        policies["stem_conv_conv"] = keras.dtype_policies.DTypePolicy("float16")
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype=policies)
        assert model.get_layer("stem_conv_conv").compute_dtype == "float16"
        assert model.get_layer("dark2_conv_conv").compute_dtype == "float32"


class TestChannelsFirst:
    pytestmark = needs_channels_first

    @pytest.mark.parametrize("padding", ["same", "symmetric"])
    @pytest.mark.parametrize("use_depthwise", [False, True])
    def test_same_numbers_as_channels_last(self, photo, padding, use_depthwise):
        net = {"stackwise_channels": [8, 12], "stackwise_depth": [2, 1]}
        options = {**net, "padding": padding, "use_depthwise": use_depthwise}
        last = randomize(CSPDarkNetBackbone(**options, include_rescaling=True))
        first = CSPDarkNetBackbone(**options, include_rescaling=True, data_format="channels_first")
        first.set_weights(last.get_weights())
        assert first.input_shape == (None, 3, None, None)
        found = first.feature_pyramid([0, 1])(photo.transpose(0, 3, 1, 2))
        for level, expected in last.feature_pyramid([0, 1])(photo).items():
            value = to_numpy(found[level]).transpose(0, 2, 3, 1)
            assert relative_error(value, to_numpy(expected)) <= 1e-4

    def test_global_setting(self):
        keras.config.set_image_data_format("channels_first")
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_shape=(1, 32, 48))
        assert tuple(model(np.ones((1, 1, 32, 48))).shape) == (1, 6, 4, 6)
        assert model.get_config()["data_format"] == "channels_first"


def test_learns():
    """A few steps of training reduce the loss of a task that needs the whole network."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (16, 32, 32, 3)).astype("float32")
    y = np.arange(16) % 2
    x[y == 1, :, :16] *= 0.2
    backbone = CSPDarkNetBackbone([8, 16], [1, 1], include_rescaling=True)
    model = keras.Sequential(
        [backbone, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    history = model.fit(x, y, epochs=15, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < 0.2 < history[0]
