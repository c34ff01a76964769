"""Saving of models: their configs, `.keras` files, copies, and files read by other processes."""

import copy
import importlib.util
import json
import pickle

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import SMALL, TINY_NET, assert_same_weights, randomize, run_python, to_numpy

NAMES = ["cat", "dog", "owl"]
THREE_STAGES = {"stackwise_channels": [8, 12, 16], "stackwise_depth": [1, 1, 1]}


def backbone(**changes):
    return CSPDarkNetBackbone(**{**TINY_NET, "include_rescaling": True, **changes})


def classifier(backbone_changes=None, **changes):
    return ImageClassifier(backbone(**(backbone_changes or {})), 3, **changes)


def detector(backbone_changes=None, **changes):
    inside = backbone(**{**THREE_STAGES, **(backbone_changes or {})})
    return YOLOXDetector(inside, 3, **{"image_size": 64, **changes})


MODELS = [
    (backbone, {}),
    (backbone, {"include_rescaling": False, "use_depthwise": True, "input_shape": (32, 48, 4)}),
    (backbone, {"padding": "symmetric", "batch_norm_epsilon": 1e-5}),
    (backbone, {"batch_norm_momentum": 0.97, "trainable": False, "name": "mine"}),
    (backbone, {"activation": "leaky_relu", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}),
    (backbone, {"activation": "hard_swish"}),
    (backbone, {"dtype": "mixed_bfloat16", "frozen_layers": ["stem_conv_bn"]}),
    (classifier, {}),
    (
        classifier,
        {
            "pooling": "max",
            "activation": None,
            "dropout": 0.5,
            "class_names": tuple(NAMES),
            "name": "mine",
        },
    ),
    (
        classifier,
        {
            "backbone_changes": {"dtype": "mixed_bfloat16", "frozen_layers": ["stem_conv_bn"]},
            "image_size": 96,
        },
    ),
    (
        classifier,
        {
            "backbone_changes": {"padding": "symmetric", "input_shape": (32, 32, 4)},
            "trainable": False,
        },
    ),
    (classifier, {"dtype": "float64"}),
    (detector, {}),
    (
        detector,
        {
            "backbone_changes": {"use_depthwise": True, "padding": "symmetric"},
            "bounding_box_format": "xywh",
            "class_names": tuple(NAMES),
            "score_threshold": (0.5, 0.25, 1.0),
            "iou_threshold": 0.4,
            "max_detections": 7,
            "neck_depth": 2,
            "head_channels": 6,
            "trainable": False,
            "name": "mine",
        },
    ),
    (detector, {"backbone_changes": {"activation": "relu6", "mean": [0.5] * 3, "std": [0.2] * 3}}),
]


@pytest.mark.one_backend
@pytest.mark.parametrize(("build", "arguments"), MODELS)
def test_config_round_trip(build, arguments):
    model = build(**arguments)
    config = model.get_config()
    written = json.loads(json.dumps(config))
    assert written == config
    again = type(model).from_config(config)
    assert config == written  # `from_config` does not change what it is given
    assert again.get_config() == config
    # KerasHub's rule: only values differ.
    assert dir(again) == dir(model)
    for name in set(arguments) - {"backbone_changes", "input_shape", "dtype"}:
        assert getattr(again, name) == getattr(model, name) == arguments[name]


@pytest.mark.parametrize(("build", "arguments"), MODELS)
def test_keras_file(build, arguments, tmp_path):
    model = randomize(build(**arguments))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    assert type(again) is type(model)
    assert type(getattr(again, "backbone", again)) is CSPDarkNetBackbone
    assert again.get_config() == model.get_config()
    assert_same_weights(again, model)


@pytest.mark.one_backend
@pytest.mark.parametrize("build", [backbone, classifier, detector])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(build, copied):
    model = randomize(build())
    again = copied(model)
    assert again.get_config() == model.get_config()
    assert_same_weights(again, model)
    assert again is not model
    assert build is backbone or again.backbone is not model.backbone


@pytest.mark.one_backend
@pytest.mark.parametrize("build", [backbone, classifier, detector])
def test_weights_file(build, tmp_path):
    model, other = randomize(build()), build()
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    assert_same_weights(other, model)


@pytest.mark.one_backend
@pytest.mark.parametrize("cls", [CSPDarkNetBackbone, ImageClassifier, YOLOXDetector])
def test_registered_under_the_package_name(cls):
    assert keras.saving.get_registered_name(cls) == f"cspdarknet>{cls.__name__}"


@pytest.mark.one_backend
def test_config_is_a_copy(small):
    small.get_config()["stackwise_channels"].append(1)
    assert small.stackwise_channels == SMALL["stackwise_channels"]


@pytest.mark.parametrize("build", [backbone, classifier])
def test_clone_model(build, photo):
    model = randomize(build())
    clone = keras.models.clone_model(model)  # a plain functional model of the same layers
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    clone.set_weights(model.get_weights())
    # On PyTorch the layers run one by one in the clone, and as `TorchProgram` in the model.
    expected = to_numpy(model(photo))
    np.testing.assert_allclose(to_numpy(clone(photo)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.one_backend
def test_clone_of_a_feature_pyramid(photo):
    extractor = randomize(backbone()).feature_pyramid(["P2", "P3"])
    clone = keras.models.clone_model(extractor)
    clone.set_weights(extractor.get_weights())
    expected = extractor(photo)
    for level, value in clone(photo).items():
        # On PyTorch the extractor runs by PyTorch's own functions, and its clone by Keras' layers.
        np.testing.assert_allclose(to_numpy(value), to_numpy(expected[level]), atol=1e-6)


@pytest.mark.one_backend
def test_whole_model_h5(tmp_path):
    model = randomize(backbone())
    model.save(tmp_path / "m.h5")
    objects = {"CSPDarkNetBackbone": CSPDarkNetBackbone}
    again = keras.saving.load_model(tmp_path / "m.h5", objects, compile=False)
    assert_same_weights(again, model)


@pytest.mark.one_backend
class TestInputTensor:
    def round_trip(self, model, tmp_path, x):
        model.save(tmp_path / "m.keras")
        model.save_to_preset(tmp_path / "preset")
        restored = keras.saving.load_model(tmp_path / "m.keras")
        for again in (restored, CSPDarkNetBackbone.from_preset(tmp_path / "preset")):
            assert_same_weights(again, model)
            np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))
        assert restored.get_config() == model.get_config()
        return restored

    def test_keras_input(self, tmp_path):
        images = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
        model = randomize(backbone(input_tensor=images))
        again = self.round_trip(model, tmp_path, np.ones((1, 32, 32, 3), "uint8"))
        assert (again.input.name, again.input.dtype) == ("pixels", "uint8")

    def test_intermediate_tensor(self, tmp_path):
        images = keras.Input((32, 32, 1))
        front = keras.layers.Conv2D(3, 1, name="to_rgb")(images)
        model = randomize(backbone(input_tensor=front))
        again = self.round_trip(model, tmp_path, np.ones((1, 32, 32, 1)))
        assert again.get_layer("to_rgb").filters == 3


@pytest.mark.one_backend
def test_a_classifier_with_another_backbone(tmp_path):
    inside = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 3)])
    model = ImageClassifier(inside, 2)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    x = np.ones((1, 8, 8, 3))
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))


def test_a_trained_model_around_a_backbone(tmp_path):
    model = keras.Sequential([backbone(), keras.layers.GlobalAveragePooling2D()])
    model.compile("adam", "mse")
    model.fit(np.ones((2, 16, 16, 3)), np.ones((2, 6)), verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert_same_weights(again, model)
    assert int(again.optimizer.iterations) == 1


@pytest.mark.one_backend
def test_a_trained_detector(tmp_path):
    model = detector()
    model.compile("adam")
    targets = {"boxes": np.full((1, 1, 4), [8, 8, 40, 40]), "classes": np.zeros((1, 1))}
    model.train_on_batch(np.ones((1, 64, 64, 3), "float32"), targets)
    model.save(tmp_path / "m.keras")
    assert_same_weights(keras.saving.load_model(tmp_path / "m.keras"), model)


# Reads the models of a folder, and writes their outputs beside them.
READ = """
import sys
from pathlib import Path
{imports}
import keras, numpy as np
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    model = keras.saving.load_model(path, safe_mode=True)
    outputs = keras.tree.flatten(model.predict_on_batch(np.load(path.with_suffix(".in.npy"))))
    np.savez(path.with_suffix(".npz"), *outputs)
    print(path.stem, type(model).__name__)
"""
# Stands for an environment without this package: an import of it fails.
WITHOUT_PACKAGE = "sys.modules['cspdarknet'] = None"


def read_elsewhere(models, imports, folder):
    """Save models, read them in a fresh process, compare the outputs, and return their types."""
    rng = np.random.default_rng(0)
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
        images = rng.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
        np.save(folder / f"{name}.in.npy", images)
    lines = run_python(READ.format(imports=imports), folder).stdout.splitlines()
    for name, model in models.items():
        images = np.load(folder / f"{name}.in.npy")
        expected = keras.tree.flatten(model.predict_on_batch(images))
        with np.load(folder / f"{name}.npz") as outputs:
            for value, reference in zip(outputs.values(), expected, strict=True):
                np.testing.assert_allclose(value, reference, rtol=1e-5, atol=1e-5)
    return dict(line.split() for line in lines if line.partition(" ")[0] in models)


def test_a_fresh_process_that_only_imports_the_package(tmp_path):
    """Keras must know the classes, though nothing has used them yet."""
    models = {
        "backbone": randomize(backbone()),
        "classifier": randomize(classifier(class_names=NAMES)),
        "detector": randomize(detector()),
    }
    models["graph"] = models["detector"].inference_model()
    imports = "import cspdarknet; assert 'cspdarknet.models' not in sys.modules"
    assert read_elsewhere(models, imports, tmp_path) == {
        "backbone": "CSPDarkNetBackbone",
        "classifier": "ImageClassifier",
        "detector": "YOLOXDetector",
        "graph": "Functional",
    }


@pytest.mark.one_backend
@pytest.mark.slow
def test_a_fresh_process_without_the_package(tmp_path):
    model = randomize(backbone())
    plain = {
        "flat": keras.Model(model.input, model.output),
        "pyramid": model.feature_pyramid(["P2", "P3"]),
        "detector": keras.Model((d := randomize(detector())).input, d.output),
    }
    types = read_elsewhere(plain, WITHOUT_PACKAGE, tmp_path)
    assert types == dict.fromkeys(plain, "Functional")


ELSEWHERE = """
import sys, numpy as np, cspdarknet, keras
model = cspdarknet.models.CSPDarkNetBackbone.from_preset(sys.argv[1])
np.save(sys.argv[3], keras.ops.convert_to_numpy(model(np.load(sys.argv[2]))))
"""


@pytest.mark.slow
@pytest.mark.one_backend
@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_same_weights_on_two_backends(backend, photo, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip("the backend of this very run")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    model = randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True))
    model.save_to_preset(tmp_path / "preset")
    np.save(tmp_path / "x.npy", photo)
    files = (tmp_path / "preset", tmp_path / "x.npy", tmp_path / "y.npy")
    run_python(ELSEWHERE, *files, backend=backend)
    expected = to_numpy(model(photo))
    error = np.abs(np.load(tmp_path / "y.npy") - expected).max() / np.abs(expected).max()
    assert error <= 1e-4
