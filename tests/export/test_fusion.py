"""Fused models compute what the original models do, with fewer layers."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet.export import fuse
from cspdarknet.layers import ACTIVATIONS
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import SMALL, TINY_NET, randomize, relative_error

TOLERANCE = 1e-5  # of the largest value; seen: below 2e-6


def images(model, height=65, width=96, seed=0):
    shape = (2, height, width, 3)
    pixels = np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")
    first = model.inputs[0].shape[1] == 3
    return pixels.transpose(0, 3, 1, 2) if first else pixels


def assert_same(model, fused, x):
    expected, outputs = model.predict_on_batch(x), fused.predict_on_batch(x)
    if not isinstance(expected, dict):
        expected, outputs = {"": expected}, {"": outputs}
    assert expected.keys() == outputs.keys()
    for name, value in expected.items():
        assert relative_error(outputs[name], value) < TOLERANCE, name


@pytest.mark.parametrize("use_depthwise", [False, True])
def test_backbone(use_depthwise):
    backbone = randomize(
        CSPDarkNetBackbone(**SMALL, include_rescaling=True, use_depthwise=use_depthwise)
    )
    fused = fuse(backbone)
    assert_same(backbone, fused, images(backbone))
    kinds = {type(layer) for layer in fused.layers}
    assert not kinds & {
        keras.layers.BatchNormalization,
        keras.layers.Activation,
        keras.layers.Rescaling,
    }
    assert len(fused.layers) < 0.45 * len(backbone.layers)
    assert not fused.trainable_weights


@pytest.mark.one_backend
@settings(max_examples=12, deadline=None)
@given(
    channels=st.lists(st.sampled_from([4, 6, 10]), min_size=1, max_size=4),
    depth=st.integers(1, 3),
    use_depthwise=st.booleans(),
    include_rescaling=st.booleans(),
    padding=st.sampled_from(["same", "symmetric"]),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
    size=st.tuples(st.integers(33, 70), st.integers(33, 70)),
    seed=st.integers(0, 99),
)
def test_backbone_configs(channels, depth, padding, data_format, size, seed, **config):
    backbone = CSPDarkNetBackbone(
        channels, [depth] * len(channels), padding=padding, data_format=data_format, **config
    )
    model = randomize(backbone, seed).feature_pyramid(list(backbone.pyramid_level_inputs))
    assert_same(model, fuse(model), images(model, *size, seed=seed))


def test_classifier():
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    classifier = randomize(ImageClassifier(backbone, 5, dropout=0.3))
    fused = fuse(classifier)
    assert_same(classifier, fused, images(classifier))
    assert backbone.name not in {layer.name for layer in fused.layers}


@pytest.mark.one_backend
def test_detector_and_its_inference_model(detector, low):
    x = images(detector, 96, 128)
    expected = keras.Model.predict_on_batch(detector, x)
    outputs = fuse(detector).predict_on_batch(x)
    for name, value in expected.items():
        assert relative_error(outputs[name], value) < TOLERANCE, name
    inference_model = detector.inference_model(low)
    assert_same(inference_model, fuse(inference_model), x)


@pytest.mark.one_backend
def test_stages_keep_their_names(backbone):
    fused = fuse(backbone)
    for name in backbone.pyramid_level_inputs.values():
        assert fused.get_layer(name).output.shape == backbone.get_layer(name).output.shape


@pytest.mark.one_backend
def test_parallel_convolutions_of_a_csp_stage_are_merged(backbone):
    merged = [layer for layer in fuse(backbone).layers if layer.name.endswith("_merged")]
    assert [layer.filters for layer in merged] == SMALL["stackwise_channels"]


@pytest.mark.one_backend
def test_convolutions_with_another_consumer_are_kept():
    x = keras.Input((8, 8, 3))
    conv = keras.layers.Conv2D(4, 3, name="conv")(x)
    norm = keras.layers.BatchNormalization(name="norm")(conv)
    model = randomize(keras.Model(x, [conv, keras.layers.ReLU()(norm)]))
    fused = fuse(model)
    assert {"conv", "norm"} <= {layer.name for layer in fused.layers}
    for a, b in zip(
        model.predict_on_batch(images(model, 8, 8)),
        fused.predict_on_batch(images(model, 8, 8)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.one_backend
def test_layers_that_are_called_twice_are_kept():
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    x = keras.Input((8, 8, 3))
    y = keras.layers.BatchNormalization()(shared(x))
    model = randomize(keras.Model(x, keras.layers.BatchNormalization()(shared(y))))
    fused = fuse(model)
    assert_same(model, fused, images(model, 8, 8))
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in fused.layers) == 1


@pytest.mark.one_backend
@pytest.mark.parametrize("config", [{"activation": "softmax"}, {"groups": 2}], ids=str)
def test_convolutions_with_dependent_filters_are_not_merged(config):
    x = keras.Input((8, 8, 4))
    outputs = [keras.layers.Conv2D(4, 1, **config)(x) for _ in range(2)]
    model = randomize(keras.Model(x, keras.layers.Concatenate()(outputs)))
    assert_same(model, fuse(model), np.random.default_rng(0).normal(size=(2, 8, 8, 4)))


@pytest.mark.one_backend
def test_an_enabled_lora_is_folded():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(3, 3, name="conv")(x)
    model = keras.Model(x, keras.layers.BatchNormalization()(y))
    model.get_layer("conv").enable_lora(2)
    assert_same(randomize(model), fuse(model), images(model, 8, 8))


@pytest.mark.one_backend
def test_of_a_rescaling_with_an_offset_only_the_scale_is_folded():
    """The padding of the convolution is zero after the offset, so that it is no bias."""
    x = keras.Input((8, 8, 3))
    y = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    model = keras.Model(x, keras.layers.Conv2D(4, 3, padding="same")(y))
    fused = fuse(model)
    assert_same(model, fused, images(model, 8, 8))
    (rescaling,) = (x for x in fused.layers if isinstance(x, keras.layers.Rescaling))
    assert (rescaling.scale, rescaling.offset) == (1.0, -127.5)


@pytest.mark.one_backend
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_normalization_of_each_channel(data_format):
    shape = (8, 8, 3) if data_format == "channels_last" else (3, 8, 8)
    channels = (1, 1, 3) if data_format == "channels_last" else (3, 1, 1)
    x = keras.Input(shape)
    scale, offset = (np.reshape(v, channels).tolist() for v in ([0.1, 0.2, 0.3], [-1, 2, 0]))
    y = keras.layers.Rescaling(scale, offset)(x)
    options = {"padding": "same", "data_format": data_format}
    convs = [
        keras.layers.Conv2D(6, 3, **options)(y),
        keras.layers.DepthwiseConv2D(3, depth_multiplier=2, **options)(y),
    ]
    model = randomize(keras.Model(x, keras.layers.Add()(convs)))
    fused = fuse(model)
    assert_same(model, fused, images(model, 8, 8))
    (rescaling,) = (x for x in fused.layers if isinstance(x, keras.layers.Rescaling))
    assert rescaling.scale == 1.0


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("scale", "options"),
    [
        ([[[0.1, 0.2, 0.3]]], {"groups": 3}),
        ([[[0.1]], [[0.2]], [[0.3]], [[0.4]], [[0.5]]], {}),  # of rows, not of channels
        ([[[0.1, 0.0, 0.3]]], {}),
    ],
)
def test_a_scale_that_no_kernel_can_take_over_is_kept(scale, options):
    x = keras.Input((5, 8, 3))
    y = keras.layers.Rescaling(scale, offset=0.5)(x)
    model = keras.Model(x, keras.layers.Conv2D(3, 3, padding="same", **options)(y))
    assert_same(model, fuse(model), images(model, 5, 8))


@pytest.mark.one_backend
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_folded_and_merged(activation, tmp_path):
    options = {"activation": activation, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    backbone = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, **options))
    silu = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, mean=[0.0] * 3, std=[1.0] * 3)
    fused = fuse(backbone)
    assert_same(backbone, fused, images(backbone, 33, 20))
    names = [layer.name for layer in fuse(silu).layers]
    assert [layer.name for layer in fused.layers] == [*names[:1], "rescaling", *names[1:]]
    fused.save(tmp_path / "fused.keras")
    loaded = keras.saving.load_model(tmp_path / "fused.keras")
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    assert_same(fused, loaded, images(backbone, 33, 20))


@pytest.mark.one_backend
def test_a_rescaling_that_is_an_output_is_kept():
    x = keras.Input((8, 8, 3))
    scaled = keras.layers.Rescaling(1 / 255)(x)
    outputs = {"scaled": scaled, "conv": keras.layers.Conv2D(4, 3)(scaled)}
    model = keras.Model(x, outputs)
    assert_same(model, fuse(model), images(model, 8, 8))


@pytest.mark.one_backend
def test_parallel_max_pools_become_a_chain():
    x = keras.Input((17, 20, 3))
    pools = [keras.layers.MaxPooling2D(k, 1, padding="same")(x) for k in (9, 5, 13)]
    model = keras.Model(x, keras.layers.Concatenate()([x, *pools]))
    fused = fuse(model)
    assert_same(model, fused, images(model, 17, 20))
    sizes = [
        layer.pool_size for layer in fused.layers if isinstance(layer, keras.layers.MaxPooling2D)
    ]
    assert sizes == [(5, 5)] * 3


@pytest.mark.one_backend
def test_the_dtype_policy_is_kept():
    backbone = randomize(
        CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype="mixed_bfloat16")
    )
    fused = fuse(backbone)
    assert fused.get_layer("dark2_csp").compute_dtype == "bfloat16"
    x = images(backbone)
    assert relative_error(fused.predict_on_batch(x), backbone.predict_on_batch(x)) < 0.05


@pytest.mark.one_backend
def test_it_can_be_loaded_without_this_package(backbone, tmp_path):
    fused = fuse(backbone)
    fused.save(tmp_path / "fused.keras")
    loaded = keras.saving.load_model(tmp_path / "fused.keras")  # in safe mode
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    assert "cspdarknet" not in json.dumps(loaded.get_config())
    x = images(backbone)
    np.testing.assert_array_equal(loaded.predict_on_batch(x), fused.predict_on_batch(x))
