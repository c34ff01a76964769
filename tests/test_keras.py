"""Import of the package: what it loads, which backend it chooses, which classes Keras knows."""

import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

import cspdarknet
from cspdarknet import _keras
from cspdarknet.models import CSPDarkNetBackbone
from support import run_python

BACKENDS = {"jax", "torch", "tensorflow"}


# What is loaded, in fresh processes.


FRESH = """
import importlib.util, json, os, sys
backend, home = sys.argv[1:]
find = importlib.util.find_spec
hidden = {"jax", "torch", "tensorflow"} - {backend}
importlib.util.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)
os.environ["KERAS_HOME"] = home
del os.environ["KERAS_BACKEND"]
before = set(sys.modules)
import cspdarknet
added = set(sys.modules) - before
import keras
before = set(sys.modules)
import cspdarknet.models
layer = cspdarknet.models.CSPDarkNetBackbone([4, 6], [1, 1], True).layers[2]
keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
added |= set(sys.modules) - before
keras.utils.set_random_seed(3)
print(json.dumps({
    "backend": keras.backend.backend(),
    "added": sorted({name.split(".")[0] for name in added}),
    "loaded": "tensorflow" in sys.modules,
    "random": float(keras.random.uniform(())),
}))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What a fresh process says in which only the backend of the tests seems to be installed."""
    done = run_python(FRESH, keras.backend.backend(), tmp_path_factory.mktemp("home"))
    return {**json.loads(done.stdout.splitlines()[-1]), "stderr": done.stderr}


def test_import_loads_nothing_that_is_not_needed(fresh):
    """Only modules that Keras and its backend load are allowed."""
    added = set(fresh["added"])
    assert "cspdarknet" in added
    assert not added & {"kagglehub", "huggingface_hub", "rich", "typer", "sklearn", "safetensors"}
    # A backend imports some of its own modules when it first computes.
    assert not added & (BACKENDS - {keras.backend.backend()})


@pytest.mark.one_backend
def test_import_loads_neither_keras_nor_a_backend():
    code = """
import sys
import cspdarknet
from cspdarknet.inference import Predictor
print(*sys.modules)
"""
    loaded = set(run_python(code).stdout.split())
    assert "cspdarknet.inference.predictor" in loaded
    assert not loaded & {*BACKENDS, "keras", "h5py", "onnx"}


@pytest.mark.one_backend
def test_every_module_may_be_imported_first_and_keras_on_openvino_predicts():
    """There are no import circles; Keras and its backend are loaded once."""
    pytest.importorskip("openvino")
    code = """
import importlib, pkgutil, sys
import cspdarknet
names = [m.name for m in pkgutil.iter_modules(cspdarknet.__path__) if m.name != "__main__"]
for name in names:
    for loaded in [m for m in sys.modules if m.split(".")[0] == "cspdarknet"]:
        del sys.modules[loaded]
    importlib.import_module(f"cspdarknet.{name}")
print(*names)
import cspdarknet as keras_cv
import numpy as np
model = keras_cv.models.CSPDarkNetBackbone([4, 6], [1, 1], True)
print(model.predict(np.ones((1, 32, 48, 3)), verbose=0).shape)
"""
    names, shape = run_python(code, backend="openvino").stdout.splitlines()
    assert {"models", "layers", "inference", "export"} <= set(names.split())
    assert shape == "(1, 4, 6, 6)"


# Which backend is chosen.


def test_an_installed_backend_is_chosen_when_keras_is_imported(fresh):
    """In a fresh process, where the other backends are hidden."""
    assert fresh["backend"] == keras.backend.backend()


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A set of backends that count as installed, without configuration of Keras."""
    backends = set()
    monkeypatch.setattr(_keras, "_installed", lambda name: name in backends)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return backends


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        ({"jax", "torch"}, "jax"),
        ({"torch"}, "torch"),
        ({"jax", "torch", "tensorflow"}, None),  # Keras's own default is kept
    ],
)
def test_preference(installed, present, chosen):
    installed |= present
    _keras.ensure_backend()
    assert os.environ.get("KERAS_BACKEND") == chosen


@pytest.mark.one_backend
def test_keras_json_is_respected_if_its_backend_is_installed(installed, tmp_path):
    installed |= {"jax", "torch"}
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    _keras.ensure_backend()
    assert "KERAS_BACKEND" not in os.environ
    for broken in ('{"backend": "tensorflow"}', "{", "[]"):
        os.environ.pop("KERAS_BACKEND", None)
        (tmp_path / "keras.json").write_text(broken)
        _keras.ensure_backend()
        assert os.environ["KERAS_BACKEND"] == "jax"


@pytest.mark.one_backend
def test_training_prefers_pytorch_unless_somebody_chose_otherwise(installed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    del sys.modules["keras"]
    installed |= {"jax", "tensorflow"}
    assert _keras.training_backend() == "torch"
    _keras.prefer_backend("torch")  # which is not installed
    assert "KERAS_BACKEND" not in os.environ
    installed.add("torch")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    _keras.prefer_backend("torch")
    assert "KERAS_BACKEND" not in os.environ
    (tmp_path / "keras.json").write_text('{"backend": "tensorflow"}')  # by Keras itself
    _keras.prefer_backend("torch")
    assert os.environ["KERAS_BACKEND"] == "torch"
    _keras.prefer_backend("jax")
    assert os.environ["KERAS_BACKEND"] == "torch"
    monkeypatch.setattr(_keras.importlib.util, "find_spec", lambda name: name == "jax_plugins")
    assert _keras.training_backend() == "jax"


@pytest.mark.one_backend
def test_room_for_kernels_of_many_image_sizes_unless_somebody_chose_otherwise(
    installed, monkeypatch
):
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    installed.add("torch")
    monkeypatch.delenv(name, raising=False)
    _keras.ensure_backend()
    assert int(os.environ[name]) > 1024  # the default of oneDNN
    monkeypatch.setenv(name, "5")
    _keras.ensure_backend()
    assert os.environ[name] == "5"


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (None, r"none is installed: run `pip install 'cspdarknet\[jax\]'`"),
        ("torch", r"KERAS_BACKEND=torch, but torch is not installed.*'cspdarknet\[torch\]'"),
        ("openvino", "run `pip install openvino`"),
        ("theano", "must be one of jax, torch, .*Received: KERAS_BACKEND=theano"),
    ],
)
def test_a_missing_backend(installed, chosen, message, monkeypatch):
    if chosen:
        monkeypatch.setenv("KERAS_BACKEND", chosen)
    with pytest.raises(ImportError, match=message):
        _keras.ensure_backend()
    installed |= {"torch"}
    if chosen == "torch":
        _keras.ensure_backend()


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("present", "loaded", "chosen", "expected"),
    [
        ({"jax", "torch"}, False, None, "numpy"),
        ({"torch"}, False, None, None),  # Keras's NumPy backend needs JAX
        ({"jax"}, False, "torch", "torch"),
        ({"jax"}, True, None, None),
    ],
)
def test_models_that_are_only_exported_are_built_on_numpy(
    installed, monkeypatch, present, loaded, chosen, expected
):
    installed |= present
    if not loaded:
        monkeypatch.delitem(sys.modules, "keras")
    if chosen:
        monkeypatch.setenv("KERAS_BACKEND", chosen)
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", ""))  # is restored
    _keras.build_on_numpy()
    assert os.environ["KERAS_BACKEND"] == (expected or "")


# Settings of Keras, and TensorFlow in its serialization.


@pytest.mark.one_backend
def test_settings_are_the_same_before_and_after_the_import(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    expected = {"image_data_format": "channels_last", "dtype_policy": "float32"}
    assert _keras.model_settings() == expected
    monkeypatch.delitem(sys.modules, "keras")
    assert _keras.model_settings() == expected
    config = '{"image_data_format": "channels_first", "floatx": "float16"}'
    (tmp_path / "keras.json").write_text(config)
    other = {"image_data_format": "channels_first", "dtype_policy": "float16"}
    assert _keras.model_settings() == other


@pytest.mark.one_backend
def test_serialization_and_seeds_know_tensorflow_once_it_is_imported(monkeypatch):
    for name in _keras.ASKING:
        assert isinstance(sys.modules[name].tf, _keras._TensorFlowIfImported)
    fake = SimpleNamespace(available=True, TensorShape=tuple)
    seen = _keras._TensorFlowIfImported(fake)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert not seen.available
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    assert seen.available
    assert seen.TensorShape is tuple


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs TensorFlow")
def test_a_seed_does_not_import_tensorflow_for_another_backend(fresh):
    """The numbers are those of Keras's own function; that of TensorFlow is seeded if it is used."""
    is_used = keras.backend.backend() == "tensorflow"
    keras.utils.set_random_seed(3)
    assert (fresh["loaded"], fresh["random"]) == (is_used, float(keras.random.uniform(())))
    assert is_used or fresh["stderr"] == ""


# Which classes Keras knows.


@pytest.mark.one_backend
def test_all_serializable_classes_are_listed():
    root = Path(cspdarknet.__file__).parent
    for path in root.rglob("*.py"):
        if "register_keras_serializable" in path.read_text():
            import_module(".".join(["cspdarknet", *path.relative_to(root).with_suffix("").parts]))
    registered = keras.saving.get_custom_objects()
    own = {name: cls for name, cls in registered.items() if name.startswith("cspdarknet>")}
    listed = {f"cspdarknet>{name}": module for name, module in _keras.CLASSES.items()}
    assert {name: cls.__module__ for name, cls in own.items()} == listed


@pytest.mark.one_backend
def test_classes_are_registered_if_keras_was_imported_before(monkeypatch):
    registry = {}
    fake = SimpleNamespace(saving=SimpleNamespace(get_custom_objects=lambda: registry))
    monkeypatch.setitem(sys.modules, "keras", fake)
    finders = list(sys.meta_path)
    _keras.prepare_keras()
    assert sys.meta_path == finders
    assert set(registry) == {f"cspdarknet>{name}" for name in _keras.CLASSES}
    config = CSPDarkNetBackbone([4], [0], True).get_config()
    again = registry["cspdarknet>CSPDarkNetBackbone"].from_config(config, custom_objects=None)
    assert type(again) is CSPDarkNetBackbone


@pytest.mark.one_backend
def test_one_finder_however_often_the_package_is_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = len(sys.meta_path)
    _keras.prepare_keras()
    _keras.prepare_keras()
    assert len(sys.meta_path) == before + 1
    assert sys.meta_path[0].find_spec("keras", None).name == "keras"
    assert sys.meta_path[0].find_spec("numpy", None) is None


@pytest.mark.one_backend
def test_a_class_replaces_its_placeholder():
    registry = keras.saving.get_custom_objects()
    assert registry["cspdarknet>CSPDarkNetBackbone"] is cspdarknet.CSPDarkNetBackbone


@pytest.mark.one_backend
def test_another_thread_may_be_importing_keras(tmp_path):
    """The package waits until Keras is complete."""
    (tmp_path / "keras.py").write_text(
        """
import threading
threading.halfway.set()
threading.proceed.wait()
class saving:
    registry = {}
    def get_custom_objects():
        return saving.registry
"""
    )
    code = """
import importlib, sys, threading
threading.halfway, threading.proceed = threading.Event(), threading.Event()
sys.path.insert(0, sys.argv[1])
threading.Thread(target=lambda: importlib.__import__("keras"), daemon=True).start()
threading.halfway.wait()
import_module = importlib.import_module
def proceed(name):
    threading.proceed.set()
    return import_module(name)
importlib.import_module = proceed
import cspdarknet
print(*sys.modules["keras"].saving.registry)
"""
    registered = run_python(code, tmp_path).stdout.split()
    assert set(registered) == {f"cspdarknet>{name}" for name in _keras.CLASSES}
