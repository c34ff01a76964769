"""Saved models load: in safe mode, in fresh processes, and flattened without this package."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest

import cspdarknet
from cspdarknet.models import CSPDarkNetBackbone
from support import SMALL, TINY_NET, randomize, relative_error, run_python, to_numpy

CONFIGS = [
    {"include_rescaling": True},
    {"include_rescaling": False, "use_depthwise": True, "input_shape": (32, 48, 4)},
    {"include_rescaling": True, "padding": "symmetric", "batch_norm_epsilon": 1e-5},
    {"include_rescaling": True, "batch_norm_momentum": 0.97, "trainable": False, "name": "mine"},
    {"include_rescaling": True, "dtype": "mixed_bfloat16", "frozen_layers": ["stem_conv_bn"]},
]


def build(**changes):
    return randomize(CSPDarkNetBackbone(**{**SMALL, "include_rescaling": True, **changes}))


def same_weights(a, b):
    assert [v.path for v in a.variables] == [v.path for v in b.variables]
    for x, y in zip(a.variables, b.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(x), to_numpy(y))


@pytest.mark.one_backend
@pytest.mark.parametrize("changes", CONFIGS)
def test_config_round_trip(changes):
    model = build(**changes)
    config = model.get_config()
    assert json.loads(json.dumps(config)) == config
    again = CSPDarkNetBackbone.from_config(config)
    assert again.get_config() == config
    # KerasHub asks that nothing but values differ.
    assert dir(again) == dir(model)
    for name in ("stackwise_channels", "stackwise_depth", "include_rescaling", *changes):
        if name != "input_shape" and name != "dtype":
            assert getattr(again, name) == getattr(model, name)


@pytest.mark.one_backend
def test_config_is_a_copy(small):
    small.get_config()["stackwise_channels"].append(1)
    assert small.stackwise_channels == SMALL["stackwise_channels"]


@pytest.mark.parametrize("changes", CONFIGS)
def test_keras_file(changes, tmp_path):
    model = build(**changes)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    assert type(again) is CSPDarkNetBackbone
    assert again.get_config() == model.get_config()
    same_weights(model, again)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(how):
    model = build()
    same_weights(model, how(model))


def test_clone_model(photo):
    model = build()
    clone = keras.models.clone_model(model)  # a plain functional model of the same layers
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(to_numpy(clone(photo)), to_numpy(model(photo)))
    extractor = model.feature_pyramid()
    clone = keras.models.clone_model(extractor)
    clone.set_weights(extractor.get_weights())
    for level, value in clone(photo).items():
        np.testing.assert_array_equal(to_numpy(value), to_numpy(extractor(photo)[level]))


def test_whole_model_h5(tmp_path):
    model = build()
    model.save(tmp_path / "m.h5")
    objects = {"CSPDarkNetBackbone": CSPDarkNetBackbone}
    same_weights(model, keras.saving.load_model(tmp_path / "m.h5", objects, compile=False))


def test_weights_file(tmp_path):
    model, other = build(), CSPDarkNetBackbone(**SMALL, include_rescaling=True)
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    same_weights(model, other)


class TestInputTensor:
    def round_trip(self, model, path, x):
        model.save(path)
        again = keras.saving.load_model(path)
        assert again.get_config() == model.get_config()
        same_weights(model, again)
        np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(model(x)))
        return again

    def test_keras_input(self, tmp_path):
        images = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
        model = build(input_tensor=images)
        again = self.round_trip(model, tmp_path / "m.keras", np.ones((1, 32, 32, 3), "uint8"))
        assert (again.input.name, again.input.dtype) == ("pixels", "uint8")
        model.save_to_preset(tmp_path / "preset")
        same_weights(model, CSPDarkNetBackbone.from_preset(tmp_path / "preset"))

    def test_intermediate_tensor(self, tmp_path):
        images = keras.Input((32, 32, 1))
        model = build(input_tensor=keras.layers.Conv2D(3, 1, name="to_rgb")(images))
        again = self.round_trip(model, tmp_path / "m.keras", np.ones((1, 32, 32, 1)))
        assert again.get_layer("to_rgb").filters == 3
        model.save_to_preset(tmp_path / "preset")
        same_weights(model, CSPDarkNetBackbone.from_preset(tmp_path / "preset"))


LOAD = """
import sys, numpy as np
{imports}
import keras
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
x = np.load(sys.argv[2])
outputs = model.predict_on_batch(x)
outputs = outputs if isinstance(outputs, dict) else {{"out": outputs}}
np.savez(sys.argv[3], **{{k: keras.ops.convert_to_numpy(v) for k, v in outputs.items()}})
print(type(model).__name__)
"""

# Stands for an environment without this package: an import of it fails.
WITHOUT_PACKAGE = "import sys; sys.modules['cspdarknet'] = None"


@pytest.mark.parametrize(
    ("kind", "imports"),
    [
        ("backbone", "import cspdarknet"),
        pytest.param("flat", WITHOUT_PACKAGE, marks=pytest.mark.one_backend),
        pytest.param("pyramid", WITHOUT_PACKAGE, marks=pytest.mark.one_backend),
    ],
)
def test_fresh_process(kind, imports, photo, tmp_path):
    backbone = build()
    model = {
        "backbone": lambda: backbone,
        "flat": lambda: keras.Model(backbone.inputs, backbone.outputs),
        "pyramid": lambda: backbone.feature_pyramid(["P2", "P3", "P4", "P5"]),
    }[kind]()
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", photo)
    done = run_python(
        LOAD.format(imports=imports),
        tmp_path / "m.keras",
        tmp_path / "x.npy",
        tmp_path / "y.npz",
    )
    assert done.stdout.split()[-1] == ("CSPDarkNetBackbone" if kind == "backbone" else "Functional")
    expected = model(photo)
    expected = expected if isinstance(expected, dict) else {"out": expected}
    with np.load(tmp_path / "y.npz") as found:
        for key, value in expected.items():
            assert relative_error(found[key], to_numpy(value)) <= 1e-6


ELSEWHERE = """
import sys, numpy as np, cspdarknet, keras
model = cspdarknet.models.CSPDarkNetBackbone.from_preset(sys.argv[1])
np.save(sys.argv[3], keras.ops.convert_to_numpy(model(np.load(sys.argv[2]))))
"""


@pytest.mark.one_backend
@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_same_weights_on_two_backends(backend, photo, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip("the backend of this very run")
    if run_python(f"import {backend}", check=False).returncode:
        pytest.skip(f"{backend} is not installed")
    model = build()
    model.save_to_preset(tmp_path / "preset")
    np.save(tmp_path / "x.npy", photo)
    files = (tmp_path / "preset", tmp_path / "x.npy", tmp_path / "y.npy")
    run_python(ELSEWHERE, *files, backend=backend)
    assert relative_error(np.load(tmp_path / "y.npy"), to_numpy(model(photo))) <= 1e-4


def test_a_trained_model_inside_another_saves(tmp_path):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    model = keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D()])
    model.compile("adam", "mse")
    model.fit(np.ones((2, 16, 16, 3)), np.ones((2, 6)), verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    same_weights(model, again)
    assert int(again.optimizer.iterations) == 1


@pytest.mark.one_backend
def test_registered_under_the_package_name():
    name = keras.saving.get_registered_name(cspdarknet.CSPDarkNetBackbone)
    assert name == "cspdarknet>CSPDarkNetBackbone"
