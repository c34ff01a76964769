"""Backbones whose last stages have dilation in place of strides."""

import keras
import numpy as np
import pytest

from cspdarknet import Predictor, export
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.topologies import Architecture
from support import assert_same_weights, randomize, relative_error, to_numpy

TOLERANCE = 1e-4
NET = {"stackwise_channels": [8, 8, 16, 24], "stackwise_depth": [1, 1, 1, 1]}


def network(output_stride=None, **options):
    return CSPDarkNetBackbone(
        **{**NET, **options}, include_rescaling=True, output_stride=output_stride
    )


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")


def all_levels(backbone, images):
    pyramid = backbone.feature_pyramid(list(backbone.pyramid_level_inputs))
    return {level: to_numpy(value) for level, value in pyramid(images, training=False).items()}


# A dilated network computes what the other computes, and more between: of a map with stride 2, each
# second position. It begins at the offset that "same" padding gives images of even size.
@pytest.mark.parametrize(
    ("padding", "size", "use_depthwise"),
    [
        pytest.param("symmetric", (64, 96), True, marks=pytest.mark.one_backend),
        pytest.param("symmetric", (41, 55), False, marks=pytest.mark.one_backend),
        ("same", (64, 32), True),
    ],
)
def test_it_computes_the_same_at_the_positions_of_the_other(padding, size, use_depthwise):
    options = {"padding": padding, "use_depthwise": use_depthwise}
    plain = randomize(network(**options))
    dilated = network(8, **options)
    dilated.set_weights(plain.get_weights())
    assert dilated.feature_strides == {"P2": 4, "P3": 8, "P4": 8, "P5": 8}
    assert plain.feature_strides == {"P2": 4, "P3": 8, "P4": 16, "P5": 32}
    images = noise(1, *size, 3)
    found, expected = all_levels(dilated, images), all_levels(plain, images)
    assert found["P5"].shape[1:3] == found["P3"].shape[1:3]
    for level in ("P2", "P3", "P4"):  # P5 has spatial pyramid pooling, whose windows stay
        step = plain.feature_strides[level] // dilated.feature_strides[level]
        start = step - 1 if padding == "same" else 0
        at_positions = found[level][:, start::step, start::step]
        assert relative_error(at_positions, expected[level]) <= TOLERANCE, level


@pytest.mark.one_backend
@pytest.mark.parametrize(("topology", "output_stride"), [("cs3darknet", 8), ("cspdarknet53", 16)])
def test_the_last_stage_computes_the_same_without_pooling(topology, output_stride):
    options = {"topology": topology, "padding": "symmetric"}
    if topology == "cspdarknet53":
        options |= {"stackwise_channels": [8, 8, 8, 16, 24], "stackwise_depth": [1] * 5}
    plain = randomize(network(**options))
    dilated = network(output_stride, **options)
    dilated.set_weights(plain.get_weights())
    images = noise(1, 70, 64, 3)
    step = 32 // output_stride
    found = to_numpy(dilated(images))[:, ::step, ::step]
    assert relative_error(found, to_numpy(plain(images))) <= TOLERANCE


@pytest.mark.one_backend
def test_the_names_of_levels_and_layers_stay():
    plain, dilated = network(), network(16)
    assert dilated.pyramid_level_inputs == plain.pyramid_level_inputs
    assert [layer.name for layer in dilated.layers] == [layer.name for layer in plain.layers]
    assert dilated.feature_strides == {"P2": 4, "P3": 8, "P4": 16, "P5": 16}


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("output_stride", "strides", "dilations", "first_dilations"),
    [
        (None, [4, 8, 16, 32, 64], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
        (32, [4, 8, 16, 32, 32], [1, 1, 1, 1, 2], [1, 1, 1, 1, 1]),
        (8, [4, 8, 8, 8, 8], [1, 1, 2, 4, 8], [1, 1, 1, 2, 4]),
    ],
)
def test_dilation_replaces_strides(output_stride, strides, dilations, first_dilations):
    stages = list(Architecture([8] * 5, [1] * 5, output_stride=output_stride).stages())
    assert [stage.stride for stage in stages] == strides
    assert [stage.dilation for stage in stages] == dilations
    assert [stage.down_dilation for stage in stages] == first_dilations


@pytest.mark.one_backend
def test_saved_models_keep_it(tmp_path):
    model = randomize(network(16))
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "model.keras")
    images = noise(1, 64, 64, 3)
    expected = to_numpy(model(images))
    for again in (
        CSPDarkNetBackbone.from_preset(tmp_path / "preset"),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        assert again.output_stride == 16
        assert relative_error(again(images), expected) <= TOLERANCE
    plain = CSPDarkNetBackbone.from_preset(tmp_path / "preset", output_stride=None)
    assert_same_weights(plain, model)
    assert plain.feature_strides["P5"] == 32
    assert "output_stride" not in plain.get_config()


@pytest.mark.one_backend
def test_weights_of_any_model_take_it(tmp_path):
    classifier = randomize(ImageClassifier(network(), 3))
    classifier.save_to_preset(tmp_path / "classifier")
    dilated = ImageClassifier.from_preset(tmp_path / "classifier", output_stride=16)
    assert dilated.backbone.feature_strides["P5"] == 16
    assert_same_weights(dilated, classifier)


@pytest.mark.slow
@pytest.mark.one_backend
def test_weights_of_a_detector(tmp_path):
    """Keras numbers the layers of a detector as a whole in its files, and no neck fits dilation."""
    detector = randomize(YOLOXDetector(network(), 2, "xyxy", head_channels=8))
    detector.save(tmp_path / "detector.keras")
    dilated = CSPDarkNetBackbone.from_preset(tmp_path / "detector.keras", output_stride=16)
    assert_same_weights(dilated, detector.backbone)
    with pytest.raises(ValueError, match="output_stride=16: leave it out"):
        YOLOXDetector.from_preset(tmp_path / "detector.keras", output_stride=16)


@pytest.mark.one_backend
def test_exported_files_give_the_same(tmp_path):
    pytest.importorskip("onnxruntime")
    model = randomize(network(8, use_depthwise=True)).feature_pyramid(["P3", "P5"])
    export.export(model, tmp_path / "model.onnx")
    images = noise(1, 64, 72, 3).astype("uint8")
    found = Predictor(tmp_path / "model.onnx", runtime="onnxruntime").run(images)
    expected = model.predict(images, verbose=0)
    for level, value in found.items():
        assert relative_error(value, expected[level]) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.one_backend
def test_openvino_gives_the_same(tmp_path):
    pytest.importorskip("openvino")
    model = randomize(network(8))
    export.export(model, tmp_path / "model.xml")
    images = noise(1, 64, 72, 3).astype("uint8")
    (found,) = Predictor(tmp_path / "model.xml").run(images).values()
    assert relative_error(found, model.predict(images, verbose=0)) <= TOLERANCE


@pytest.mark.one_backend
def test_all_weights_are_trained():
    model = ImageClassifier(network(8, use_depthwise=True), 3)
    model.compile("adam", "sparse_categorical_crossentropy")
    before = [to_numpy(variable).copy() for variable in model.trainable_variables]
    model.train_on_batch(noise(2, 32, 32, 3), np.array([0, 1]))
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert (to_numpy(variable) != value).any(), variable.path


@pytest.mark.one_backend
@pytest.mark.parametrize("value", [4, 64, 0, -8, 16.0, True, "16", [16], np.array([8, 16])])
def test_other_values(value):
    with pytest.raises(ValueError, match="`output_stride` must be one of 8, 16, 32, or None"):
        network(value)


@pytest.mark.one_backend
def test_a_detector_needs_all_strides():
    with pytest.raises(ValueError, match="output_stride=8: leave it out"):
        YOLOXDetector(network(8), 2, "xyxy")
    assert YOLOXDetector(network(32), 2, "xyxy", head_channels=8).levels == ("P3", "P4", "P5")
