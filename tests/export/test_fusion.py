"""Fused models compute what the models they come from do, with fewer layers."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet.export import fuse
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import SMALL, TINY_NET, randomize, relative_error, run_python

TOLERANCE = 1e-5  # of the largest value; seen: below 2e-6


def images(model, height=65, width=96, seed=0):
    shape = (2, height, width, 3)
    pixels = np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")
    first = model.inputs[0].shape[1] == 3
    return pixels.transpose(0, 3, 1, 2) if first else pixels


def assert_same(model, fused, x):
    expected, found = model.predict_on_batch(x), fused.predict_on_batch(x)
    if not isinstance(expected, dict):
        expected, found = {"": expected}, {"": found}
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert relative_error(found[name], value) < TOLERANCE, name


@pytest.mark.parametrize("use_depthwise", [False, True])
def test_a_backbone(use_depthwise):
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
def test_any_configuration(channels, depth, padding, data_format, size, seed, **config):
    backbone = CSPDarkNetBackbone(
        channels, [depth] * len(channels), padding=padding, data_format=data_format, **config
    )
    model = randomize(backbone, seed).feature_pyramid(list(backbone.pyramid_level_inputs))
    assert_same(model, fuse(model), images(model, *size, seed=seed))


def test_a_classifier_with_its_backbone_inside():
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    classifier = randomize(ImageClassifier(backbone, 5, dropout=0.3))
    fused = fuse(classifier)
    assert_same(classifier, fused, images(classifier))
    assert backbone.name not in {layer.name for layer in fused.layers}


@pytest.mark.one_backend
def test_a_detector_and_its_whole_graph():
    detector = YOLOXDetector.from_preset("yolox_nano_bccd")
    x = images(detector, 96, 128)
    expected = keras.Model.predict_on_batch(detector, x)
    found = fuse(detector).predict_on_batch(x)
    for name, value in expected.items():
        assert relative_error(found[name], value) < TOLERANCE, name
    whole = detector.inference_model(score_threshold=0.01, image_size=128)
    assert_same(whole, fuse(whole), x)


@pytest.mark.one_backend
def test_stages_keep_their_names():
    backbone = CSPDarkNetBackbone(**SMALL, include_rescaling=True)
    fused = fuse(backbone)
    for name in backbone.pyramid_level_inputs.values():
        assert fused.get_layer(name).output.shape == backbone.get_layer(name).output.shape


@pytest.mark.one_backend
def test_the_heads_of_a_stage_become_one():
    backbone = CSPDarkNetBackbone(**SMALL, include_rescaling=True)
    merged = [layer for layer in fuse(backbone).layers if layer.name.endswith("_merged")]
    assert [layer.filters for layer in merged] == SMALL["stackwise_channels"]


@pytest.mark.one_backend
def test_what_is_read_by_others_is_left_alone():
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
def test_a_layer_that_is_called_twice_is_left_alone():
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    x = keras.Input((8, 8, 3))
    y = keras.layers.BatchNormalization()(shared(x))
    model = randomize(keras.Model(x, keras.layers.BatchNormalization()(shared(y))))
    fused = fuse(model)
    assert_same(model, fused, images(model, 8, 8))
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in fused.layers) == 1


@pytest.mark.one_backend
@pytest.mark.parametrize("how", [{"activation": "softmax"}, {"groups": 2}], ids=str)
def test_convolutions_whose_filters_are_not_independent_stay_apart(how):
    x = keras.Input((8, 8, 4))
    parts = [keras.layers.Conv2D(4, 1, **how)(x) for _ in range(2)]
    model = randomize(keras.Model(x, keras.layers.Concatenate()(parts)))
    assert_same(model, fuse(model), np.random.default_rng(0).normal(size=(2, 8, 8, 4)))


@pytest.mark.one_backend
def test_lora_is_in_the_kernel():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(3, 3, name="conv")(x)
    model = keras.Model(x, keras.layers.BatchNormalization()(y))
    model.get_layer("conv").enable_lora(2)
    assert_same(randomize(model), fuse(model), images(model, 8, 8))


@pytest.mark.one_backend
def test_a_rescaling_with_an_offset_stays():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    model = keras.Model(x, keras.layers.Conv2D(4, 3, padding="same")(y))
    assert_same(model, fuse(model), images(model, 8, 8))


@pytest.mark.one_backend
def test_pools_beside_each_other_become_a_cascade():
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
def test_half_precision_keeps_its_policy():
    backbone = randomize(
        CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype="mixed_bfloat16")
    )
    fused = fuse(backbone)
    assert fused.get_layer("dark2_csp").compute_dtype == "bfloat16"
    x = images(backbone)
    assert relative_error(fused.predict_on_batch(x), backbone.predict_on_batch(x)) < 0.05


@pytest.mark.one_backend
def test_it_is_saved_in_safe_mode_and_loaded_without_this_package(tmp_path):
    backbone = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True))
    fused = fuse(backbone)
    fused.save(tmp_path / "fused.keras")
    np.save(tmp_path / "x.npy", images(backbone))
    code = (
        "import sys; sys.modules['cspdarknet'] = None; import keras, numpy as np; d = sys.argv[1];"
        "model = keras.saving.load_model(d + '/fused.keras');"
        "np.save(d + '/y.npy', model.predict_on_batch(np.load(d + '/x.npy')))"
    )
    run_python(code, tmp_path)
    expected = fused.predict_on_batch(images(backbone))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)


@pytest.mark.one_backend
def test_a_model_that_is_no_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional Keras model"):
        fuse(Own())
    x = keras.Input((4,))
    with pytest.raises(ValueError, match="no functional one"):
        fuse(keras.Model(x, Own(name="own")(x)))
