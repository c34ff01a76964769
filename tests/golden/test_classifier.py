"""Comparison with the original classifiers: KerasCV 0.9, and KerasCV under Keras 2."""

import keras
import numpy as np
import pytest

from cspdarknet import checkpoints
from cspdarknet.conversion import verify
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, load_model
from support import GOLDEN, SMALL, assert_same_weights, needs_golden, relative_error

pytestmark = needs_golden

TOLERANCE = 1e-4  # of the largest value, as in test_kerascv.py
FOLDER = GOLDEN / "kcv09_classifier"
KERAS_2 = GOLDEN / "legacy_h5"
OLD = {**SMALL, "stackwise_depth": [1, 3, 3, 1]}


def compute(model, x):
    """Feature maps and probabilities, from one run."""
    outputs = [model.get_layer("avg_pool").input, model.output]
    return keras.Model(model.input, outputs).predict(x, verbose=0)


def from_weights_alone():
    model = ImageClassifier(CSPDarkNetBackbone(**SMALL, include_rescaling=True), 7)
    checkpoints.load_weights(model, FOLDER / "model.weights.h5")
    return model


def test_kerascv():
    arrays = np.load(FOLDER / "io.npz")
    model = ImageClassifier.from_preset(FOLDER / "preset", activation=None)
    assert relative_error(model.predict(arrays["x"], verbose=0), arrays["logits"]) <= TOLERANCE
    model = ImageClassifier.from_preset(FOLDER / "preset")
    names = ["images", "csp_dark_net_backbone", "avg_pool", "predictions"]
    assert [layer.name for layer in model.layers] == names
    assert model.count_params() == 256_391
    features, probabilities = compute(model, arrays["x"])
    assert relative_error(features, arrays["features"]) <= TOLERANCE
    assert relative_error(probabilities, arrays["probs"]) <= TOLERANCE
    checks = verify(FOLDER / "preset", FOLDER / "io.npz")
    assert [check.name for check in checks] == ["logits", "probs"]
    assert all(check.passed for check in checks)


@pytest.mark.parametrize(
    "load",
    [
        lambda: load_model(FOLDER / "preset"),
        lambda: load_model(FOLDER / "model.keras"),
        lambda: load_model(FOLDER / "model.weights.h5"),
        from_weights_alone,
    ],
)
def test_kerascv_by_other_ways(load):
    model = load()
    assert type(model) is ImageClassifier
    assert_same_weights(model, ImageClassifier.from_preset(FOLDER / "preset"))


@pytest.mark.parametrize(
    "load",
    [
        lambda: CSPDarkNetBackbone.from_preset(FOLDER / "preset"),
        lambda: load_model(FOLDER / "model.weights.h5", "features"),
    ],
)
def test_the_backbone_of_a_kerascv_classifier(load):
    model = load()
    assert type(model) is CSPDarkNetBackbone
    assert_same_weights(model, ImageClassifier.from_preset(FOLDER / "preset").backbone)


@pytest.mark.one_backend
def test_kerascv_config():
    entry = {
        "module": "keras_cv.src.models.backbones.csp_darknet.csp_darknet_backbone",
        "class_name": "CSPDarkNetBackbone",
        "config": {**SMALL, "name": "csp_dark_net_backbone", "include_rescaling": True},
        "registered_name": "keras_cv>CSPDarkNetBackbone",
        "build_config": {"input_shape": None},
        "compile_config": {},
    }
    config = {"name": "image_classifier", "trainable": True, "backbone": entry, "num_classes": 7}
    model = ImageClassifier.from_config({**config, "pooling": "avg", "activation": "softmax"})
    assert model.backbone.stackwise_channels == SMALL["stackwise_channels"]


def test_keras_2():
    arrays, inputs = (np.load(KERAS_2 / name) for name in ("io_top.npz", "io_notop.npz"))
    model = ImageClassifier(CSPDarkNetBackbone(**OLD, include_rescaling=True), 10)
    checkpoints.load_weights(model, KERAS_2 / "top.h5")
    features, probabilities = compute(model, inputs["x_b"])
    assert relative_error(features, arrays["b_P5"]) <= TOLERANCE
    assert relative_error(probabilities, arrays["b_probs"]) <= TOLERANCE
    assert_same_weights(model, load_model(KERAS_2 / "top.h5"))


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["notop.h5", "notop_shifted_names.h5"])
def test_keras_2_without_a_head(name):
    model = ImageClassifier(CSPDarkNetBackbone(**OLD, include_rescaling=True), 10)
    before = model.get_weights()
    with pytest.raises(checkpoints.CheckpointError, match="holds no classifier's head"):
        checkpoints.load_weights(model, KERAS_2 / name)
    keras.tree.map_structure(np.testing.assert_array_equal, before, model.get_weights())
    checkpoints.load_weights(model.backbone, KERAS_2 / name)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("net", "file", "message"),
    [
        (SMALL, FOLDER / "model.weights.h5", r"dense.*\(128, 7\).*\(128, 8\)"),
        (OLD, KERAS_2 / "top.h5", r"predictions.*\(128, 10\).*\(128, 8\)"),
    ],
)
def test_another_number_of_classes(net, file, message):
    model = ImageClassifier(CSPDarkNetBackbone(**net, include_rescaling=True), 8)
    with pytest.raises(checkpoints.CheckpointError, match=message):
        checkpoints.load_weights(model, file)
