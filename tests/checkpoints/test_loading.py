"""All-or-nothing loading into backbones, classifiers and detectors."""

import h5py
import keras
import numpy as np
import pytest

from cspdarknet import checkpoints, conversion
from cspdarknet.checkpoints import CheckpointError, load_weights
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import GOLDEN, SMALL, TINY_NET, assert_same_weights, needs_golden, randomize, to_numpy
from yolox_files import NET, build

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.weights.h5"
    build().save_weights(path)
    return path


def classifier(**changes):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3, **changes))


def compile_with_state(model):
    """Compile a model, and make the variables of the optimizer that training would make."""
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)


def detector(num_classes=3, seed=0):
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=False)
    return randomize(YOLOXDetector(backbone, num_classes, image_size=32), seed)


@pytest.mark.parametrize("form", [str, open_checkpoint])
def test_path_and_open_file(form, weights):
    model = CSPDarkNetBackbone(**NET)
    load_weights(model, form(weights))
    assert_same_weights(model, build())


def test_an_open_file_is_closed(weights):
    closed = []
    checkpoint = open_checkpoint(weights)
    object.__setattr__(checkpoint, "close", lambda: closed.append(True))
    load_weights(CSPDarkNetBackbone(**NET), checkpoint)
    assert closed == [True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stackwise_depth": [1, 1]}, "of its weights are not in the model"),
        ({"stackwise_depth": [1, 3]}, "weights of the model are missing"),
        ({"stackwise_channels": [4, 8]}, r"shape \(.*the model needs"),
        ({"use_depthwise": True}, "another architecture"),
        ({"input_shape": (32, 32, 1)}, "the model needs"),
        ({"stackwise_channels": [4, 6, 8], "stackwise_depth": [1, 2, 1]}, "missing"),
    ],
)
def test_other_architectures(weights, refuses, changes, message):
    refuses(weights, message, CSPDarkNetBackbone(**{**NET, **changes}))


def test_conventions_of_yolox(state_dict, refuses):
    refuses(state_dict, "belong to padding='symmetric'", CSPDarkNetBackbone(**NET))
    model = CSPDarkNetBackbone(**NET, padding="symmetric", batch_norm_epsilon=1e-5)
    refuses(state_dict, "belong to batch_norm_epsilon=0.001", model)


@needs_golden
def test_conventions_of_kerascv(refuses):
    model = CSPDarkNetBackbone(**SMALL, include_rescaling=True, padding="symmetric")
    refuses(GOLDEN / "kcv09_small" / "preset" / "model.weights.h5", "padding='same'", model)


def test_nan_and_infinite_values(tmp_path, refuses):
    for value, name in ((np.nan, "nan"), (np.inf, "inf")):
        model = build()
        model.variables[0].assign(to_numpy(model.variables[0]) * value)
        model.save_weights(tmp_path / f"{name}.weights.h5")
        refuses(tmp_path / f"{name}.weights.h5", "NaN or infinite", CSPDarkNetBackbone(**NET))


class TestClassifiers:
    def test_own_layers_of_the_same_classes(self, tmp_path):
        model = classifier()
        inner = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
        own = keras.Sequential(
            [inner, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")]
        )
        own.set_weights(model.get_weights())
        own.save_weights(tmp_path / "a.weights.h5")
        other = classifier()
        load_weights(other, tmp_path / "a.weights.h5")
        assert_same_weights(other, model)

    def test_its_backbone(self, tmp_path):
        model = classifier(dropout=0.5)
        conversion.save(model, tmp_path / "a.weights.h5")
        backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
        load_weights(backbone, tmp_path / "a.weights.h5")
        assert_same_weights(backbone, model.backbone)

    def test_a_compiled_model(self, tmp_path):
        model = classifier()
        compile_with_state(model)
        model.save_weights(tmp_path / "a.weights.h5")
        other = classifier()
        load_weights(other, tmp_path / "a.weights.h5")
        assert_same_weights(other, model)

    def test_a_file_without_a_head(self, state_dict, refuses):
        backbone = CSPDarkNetBackbone(**NET, padding="symmetric")
        refuses(state_dict, "holds no classifier's head", ImageClassifier(backbone, 3))


class TestDetectors:
    def test_skipped_layers_keep_their_weights(self, tmp_path):
        conversion.save(detector(), tmp_path / "a.weights.h5")
        other = detector(num_classes=5, seed=1)
        classes = [layer.name for layer in other.layers if layer.name.endswith("_classes")]
        before = {name: other.get_layer(name).get_weights() for name in classes}
        load_weights(other, tmp_path / "a.weights.h5", skip_layers=classes)
        for layer in detector().layers:
            expected = before.get(layer.name, layer.get_weights())
            for a, b in zip(other.get_layer(layer.name).get_weights(), expected, strict=True):
                np.testing.assert_array_equal(a, b)

    def test_a_backbone_file(self, tmp_path):
        conversion.save(detector().backbone, tmp_path / "a.weights.h5")
        with pytest.raises(CheckpointError, match="missing"):
            load_weights(detector(), tmp_path / "a.weights.h5")

    def test_a_compiled_model(self, tmp_path):
        model = detector()
        compile_with_state(model)
        model.save_weights(tmp_path / "a.weights.h5")
        with h5py.File(tmp_path / "a.weights.h5") as file:
            assert "optimizer" in file
        other = detector(seed=1)
        load_weights(other, tmp_path / "a.weights.h5")
        assert_same_weights(other, model)


def test_other_models(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"must be a CSPDarkNetBackbone.*a Sequential"):
        checkpoints.load_weights(other, tmp_path / "a.weights.h5")
