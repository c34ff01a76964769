"""`CSPDarkNetBackbone`: the documented behavior."""

import keras
import numpy as np
import pytest

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
    for bad in (["P6"], ["P1"], [4], [-5], [], [None], [2.0], [["P3"]], None, True):
        with pytest.raises(ValueError, match="level"):
            small.feature_pyramid(bad)


class TestLayersByName:
    def test_outputs(self, small, photo):
        names = ["stem", "P3", "dark4_csp_bottleneck1_conv2", "dark3_conv_bn"]
        features = randomize(small).feature_pyramid(names)(photo, training=False)
        assert set(features) == set(names)
        layers = {"stem": "stem_conv", "P3": "dark3_csp"}
        outputs = {name: small.get_layer(layers.get(name, name)).output for name in names}
        plain = keras.Model(small.input, outputs)(photo, training=False)
        for name, value in features.items():
            assert relative_error(value, to_numpy(plain[name])) <= 1e-5, name

    @pytest.mark.one_backend
    def test_unknown_names(self, small):
        near = "'dark3_csp_bottleneck2_conv2', 'dark3_csp_bottleneck2_conv1'"
        with pytest.raises(ValueError, match=f"'dark3_csp_bottleneck2_conv'.*are .*{near}"):
            small.feature_pyramid(["dark3_csp_bottleneck2_conv"])
        with pytest.raises(ValueError, match=r"'stem', 'P2'.*or the name of a layer.*'x'\.$"):
            small.feature_pyramid("x")
        with pytest.raises(ValueError, match="Received: 'images'"):  # the input
            small.feature_pyramid("images")

    @pytest.mark.one_backend
    def test_the_stem_of_timm_is_its_last_convolution(self):
        model = CSPDarkNetBackbone([8, 8], [1, 1], True, topology="cs3darknet")
        assert model.feature_pyramid("stem").output["stem"] is model.get_layer("stem_conv2").output


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
    def test_a_stage_counts_as_frozen_when_all_of_its_layers_are(self, tiny_net):
        assert tiny_net.freeze("P2").frozen_stages == 1
        tiny_net.get_layer("dark2_csp_conv3_conv").trainable = True
        assert tiny_net.frozen_stages == 0

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


class TestDtype:
    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
    def test_as_an_argument(self, policy, photo):
        model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype=policy)
        expected = keras.dtype_policies.get(policy)
        assert model.dtype_policy.name == policy
        assert all(layer.dtype_policy.name == policy for layer in model.layers[1:])
        assert {v.dtype for v in model.variables} == {expected.variable_dtype}
        for output in model.feature_pyramid([0, 1])(photo).values():
            assert keras.backend.standardize_dtype(output.dtype) == expected.compute_dtype

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
        outputs = first.feature_pyramid([0, 1])(photo.transpose(0, 3, 1, 2))
        for level, expected in last.feature_pyramid([0, 1])(photo).items():
            value = to_numpy(outputs[level]).transpose(0, 2, 3, 1)
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
