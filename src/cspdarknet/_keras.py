"""Import hook that prepares Keras on its first import (backend, serialization), and its settings.

`import cspdarknet` does not import Keras, so that exported models run without it. Whenever Keras is
imported later, it needs a backend that is installed (its own default is TensorFlow, which this
package does not require), and must find this package's classes when it loads a saved model.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

# Backends that this package is tested on, in the order of preference.
PREFERENCE = ("jax", "torch", "tensorflow")
# The Python module of each backend.
MODULES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow", "openvino": "openvino"}


def _installed(backend: str) -> bool:
    module = MODULES.get(backend)
    return module is None or importlib.util.find_spec(module) is not None


def keras_home() -> Path:
    """Return the folder of Keras's configuration and caches, `~/.keras` by default."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))


def _configured(name: str, default: str) -> str:
    """Return an entry of Keras's configuration file, or Keras's default without that file."""
    try:
        config = json.loads((keras_home() / "keras.json").read_text())
        return str(config.get(name, default))
    except (OSError, ValueError, AttributeError):
        return default


def model_settings() -> dict[str, str]:
    """Return the global settings of Keras on which a model depends, without importing Keras."""
    keras = sys.modules.get("keras")
    if hasattr(keras, "config"):
        config: Any = keras.config  # type: ignore[union-attr]
        data_format, policy = config.image_data_format(), config.dtype_policy().name
    else:
        data_format = _configured("image_data_format", "channels_last")
        policy = _configured("floatx", "float32")
    return {"image_data_format": data_format, "dtype_policy": policy}


def ensure_backend() -> None:
    """Set `KERAS_BACKEND` to an installed backend, unless the user has chosen one.

    An explicit `KERAS_BACKEND` is respected. Without one, the backend of `keras.json` is kept if it
    is installed; otherwise the first installed one of JAX, PyTorch and TensorFlow is used.

    Raises:
        ImportError: if the chosen backend, or any backend at all, is not installed.
    """
    # PyTorch's oneDNN keeps 1024 compiled kernels unless told otherwise before its first. Images
    # of varying sizes need more, and then each step compiles anew.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        if chosen not in (*MODULES, "numpy"):
            raise ImportError(
                f"KERAS_BACKEND must be one of {', '.join((*MODULES, 'numpy'))}. "
                f"Received: KERAS_BACKEND={chosen}"
            )
        if not _installed(chosen):
            package = f"'cspdarknet[{chosen}]'" if chosen in PREFERENCE else MODULES[chosen]
            raise ImportError(
                f"KERAS_BACKEND={chosen}, but {MODULES[chosen]} is not installed: "
                f"run `pip install {package}`."
            )
        return
    if _installed(_configured("backend", "tensorflow")):
        return
    for backend in PREFERENCE:
        if _installed(backend):
            os.environ["KERAS_BACKEND"] = backend
            return
    raise ImportError(
        "cspdarknet needs a Keras backend, but none is installed: run "
        "`pip install 'cspdarknet[jax]'` (or `[torch]`, `[tensorflow]`)."
    )


def build_on_numpy() -> None:
    """Choose Keras's NumPy backend in a process that exports models and does not run them.

    It is imported in a fraction of the time of the others, and exports the same graphs. A backend
    in `KERAS_BACKEND` is respected; that of `keras.json` is not, which Keras writes by itself.
    """
    # The NumPy backend of Keras imports a few functions of its JAX backend.
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND") and _installed("jax"):
        os.environ["KERAS_BACKEND"] = "numpy"


def prefer_backend(backend: str) -> None:
    """Choose a backend if the user has named none, and it is installed.

    The entry of `keras.json` counts as the user's unless it is Keras's default, TensorFlow: Keras
    writes it by itself.

    Args:
        backend: the backend.
    """
    named = os.environ.get("KERAS_BACKEND") or "keras" in sys.modules
    if named or _configured("backend", "tensorflow") != "tensorflow" or not _installed(backend):
        return
    os.environ["KERAS_BACKEND"] = backend


def training_backend() -> str:
    """Return the backend that trains fastest: PyTorch, unless JAX comes with an accelerator."""
    accelerators = ("jax_plugins", "libtpu")
    return "jax" if any(map(importlib.util.find_spec, accelerators)) else "torch"


# The classes of this package in saved models, and their modules.
CLASSES = {
    "CSPDarkNetBackbone": "cspdarknet.models.backbone",
    "DecodeBoxes": "cspdarknet.yolox.postprocess",
    "ImageClassifier": "cspdarknet.models.classifier",
    "ImageRegressor": "cspdarknet.models.regressor",
    "Letterbox": "cspdarknet.yolox.letterbox_layer",
    "NonMaxSuppression": "cspdarknet.yolox.postprocess",
    "RestoreBoxes": "cspdarknet.yolox.postprocess",
    "WarmupHoldCosine": "cspdarknet.train.optimizer",
    "YOLOXDetector": "cspdarknet.models.detector",
}


def prepare_keras() -> None:
    """Choose the backend before Keras is imported, and register this package's classes after.

    If Keras is imported already, only the classes are registered.
    """
    if sys.modules.get("keras") is None:
        # By name: after a reload of this module, the class of an earlier finder is another one.
        if all(type(finder).__name__ != _KerasFinder.__name__ for finder in sys.meta_path):
            sys.meta_path.insert(0, _KerasFinder())
        return
    keras = import_module("keras")  # waits if another thread is still importing it
    if hasattr(keras, "saving"):  # false if it is Keras that imports this package
        _register_classes(keras)
        _leave_out_tensorflow()


class _KerasFinder:
    """Finder of `sys.meta_path` that adds a step before and a step after the import of Keras."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._wrap(spec.loader)
        return spec

    def _wrap(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            ensure_backend()
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register_classes(module)
            _leave_out_tensorflow()

        loader.exec_module = exec_module


# What asks whether TensorFlow is available: for each serialized object, and to seed it, too.
ASKING = ("keras.src.saving.serialization_lib", "keras.src.utils.rng_utils")


class _TensorFlowIfImported:
    """TensorFlow as the modules of `ASKING` see it: there only if it has been imported.

    The question alone imports TensorFlow, whatever the backend, which takes seconds and writes
    messages of its own to standard error.
    """

    def __init__(self, tensorflow: Any) -> None:
        self._tensorflow = tensorflow

    @property
    def available(self) -> bool:
        return "tensorflow" in sys.modules and bool(self._tensorflow.available)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tensorflow, name)


def _leave_out_tensorflow() -> None:
    """Let Keras's serialization and seeds use TensorFlow only where it has been imported."""
    for name in ASKING:
        module: Any = sys.modules.get(name)
        tensorflow = getattr(module, "tf", None)
        if type(tensorflow).__name__ == "LazyModule":
            module.tf = _TensorFlowIfImported(tensorflow)


def _register_classes(keras: Any) -> None:
    """Register a placeholder for each class; the class replaces it when its module is imported."""
    registry = keras.saving.get_custom_objects()
    for name in CLASSES:
        registry.setdefault(f"cspdarknet>{name}", _placeholder(name))


def _placeholder(name: str) -> type:
    """Return a class whose `from_config` imports the real class and calls its `from_config`."""

    def from_config(_: type, config: dict[str, Any], custom_objects: Any = None) -> Any:
        cls: Any = getattr(import_module(CLASSES[name]), name)
        options = {} if custom_objects is None else {"custom_objects": custom_objects}
        return cls.from_config(config, **options)

    return type(name, (), {"from_config": classmethod(from_config)})
