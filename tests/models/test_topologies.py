"""Everything that a backbone is for, with one network of each kind in timm's line."""

import keras
import numpy as np
import pytest

from cspdarknet import Predictor, export
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.train.optimizer import learning_rate_factors
from support import assert_same_weights, randomize, relative_error, to_numpy

KINDS = ("cs3se_edgenet", "cspdarknet53", "darknetaa53")
TOLERANCE = 1e-4


def small(topology, stages=4, is_random=True, **arguments):
    model = CSPDarkNetBackbone(
        [8, 8, 16, 24, 32][:stages],
        [1, 2, 1, 1, 1][:stages],
        include_rescaling=True,
        topology=topology,
        padding="symmetric",
        activation="silu" if topology.startswith("cs3") else "leaky_relu_0.01",
        **arguments,
    )
    return randomize(model) if is_random else model


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")


@pytest.mark.one_backend
@pytest.mark.parametrize("topology", KINDS)
def test_saved_models_are_the_same(topology, tmp_path):
    model = small(topology, mean=[0.5] * 3, std=[0.5] * 3)
    model.freeze("P2")
    model.save_to_preset(tmp_path / "preset")
    restored = CSPDarkNetBackbone.from_preset(tmp_path / "preset")
    assert_same_weights(restored, model)
    assert restored.get_config() == model.get_config()
    assert restored.frozen_layers == model.frozen_layers
    model.save(tmp_path / "model.keras")
    images = noise(1, 33, 31, 3)
    expected = model.predict(images, verbose=0)
    for other in (restored, keras.saving.load_model(tmp_path / "model.keras")):
        assert relative_error(other.predict(images, verbose=0), expected) < TOLERANCE


@pytest.mark.one_backend
@pytest.mark.parametrize("topology", KINDS)
def test_freezing_stops_at_a_level(topology):
    model = small(topology)
    model.freeze("P3")
    trained = {variable.path.split("_")[0] for variable in model.trainable_variables}
    levels = [f"dark{level[1:]}" for level in model.pyramid_level_inputs if int(level[1:]) > 3]
    assert trained == set(levels)


def test_learning_rates_fall_from_stage_to_stage():
    model = ImageClassifier(small("darknetaa53", stages=2), 3)
    factors = learning_rate_factors(model, 0.5)
    by_layer = {path.split("/")[-2].split("_")[0]: value for path, value in factors.items()}
    assert by_layer == {"stem": 0.125, "dark1": 0.25, "dark2": 0.5, "predictions": 1.0}


@pytest.mark.one_backend
@pytest.mark.parametrize("topology", KINDS)
def test_a_detector_trains_all_weights_of_it(topology):
    stages = 5 if topology != "cs3se_edgenet" else 4
    detector = YOLOXDetector(
        small(topology, stages, is_random=False), 2, "xyxy", image_size=64, head_channels=8
    )
    assert detector.levels == ("P3", "P4", "P5")
    assert {box.shape for box in detector(noise(1, 64, 64, 3)).values()} == {
        (1, 84, 4),
        (1, 84, 1),
        (1, 84, 2),
    }
    targets = {
        "boxes": np.array([[[4, 4, 40, 40]]], "float32"),
        "classes": np.array([[1]], "float32"),
    }
    detector.compile(keras.optimizers.Adam(1e-3))
    variables = detector.backbone.trainable_variables
    before = [np.array(to_numpy(variable)) for variable in variables]
    assert np.isfinite(detector.train_on_batch(noise(1, 64, 64, 3), targets)).all()
    for variable, value in zip(variables, before, strict=True):
        assert (to_numpy(variable) != value).any(), variable.path


@pytest.mark.one_backend
@pytest.mark.parametrize("topology", KINDS)
def test_exported_files_give_the_same(topology, tmp_path):
    pytest.importorskip("onnxruntime")
    backbone = small(topology, mean=[0.4] * 3, std=[0.2] * 3)
    model = ImageClassifier(backbone, 3, class_names=["a", "b", "c"], image_size=64)
    export.export(model, tmp_path / "model.onnx")
    images = noise(2, 64, 64, 3).astype("uint8")
    expected = model.predict(images, verbose=0)
    runtime = Predictor(tmp_path / "model.onnx", runtime="onnxruntime")
    (found,) = runtime.run(images).values()
    assert relative_error(found, expected) < TOLERANCE


@pytest.mark.one_backend
def test_quantized_files(tmp_path):
    pytest.importorskip("onnxruntime")
    backbone = small("cs3se_edgenet")
    model = ImageClassifier(backbone, 3, image_size=64)
    calibration = list(noise(4, 64, 64, 3).astype("uint8"))
    export.export(model, tmp_path / "int8.onnx", precision="int8", calibration=calibration)
    images = np.stack(calibration)
    quantized = Predictor(tmp_path / "int8.onnx", runtime="onnxruntime")
    (found,) = quantized.run(images).values()
    np.testing.assert_allclose(found, model.predict(images, verbose=0), atol=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topology": "cs3"}, "topology"),
        ({"topology": "cs3darknet", "use_depthwise": True}, "use_depthwise"),
        ({"topology": "cs3darknet", "stem_channels": [4]}, "2 entries"),
        ({"stem_channels": [4]}, "leave it out"),
        ({"topology": "cs3darknet", "stackwise_channels": [2, 2]}, "at least 4"),
    ],
)
def test_bad_arguments(arguments, message):
    defaults = {"stackwise_channels": [8, 8], "stackwise_depth": [1, 1]}
    with pytest.raises(ValueError, match=message):
        CSPDarkNetBackbone(**{**defaults, **arguments}, include_rescaling=True)
