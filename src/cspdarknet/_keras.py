"""Import hook that prepares Keras on first import: backend choice and serialization.

`import cspdarknet` does not import Keras, so that an exported model runs without it. When Keras is
imported, by whoever it is, it needs a backend that is installed (it would fall back to TensorFlow,
which this package does not need), and must find this package's classes when it reads a saved model.
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

# Backends that this package is tested on, in the order in which one is chosen for the user.
PREFERENCE = ("jax", "torch", "tensorflow")
MODULES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow", "openvino": "openvino"}


def _installed(backend: str) -> bool:
    module = MODULES.get(backend)
    return module is None or importlib.util.find_spec(module) is not None


def _configured() -> str:
    """The backend that Keras' own configuration file names (TensorFlow without one)."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        config = json.loads((home / "keras.json").read_text())
        return str(config.get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def ensure_backend() -> None:
    """Choose an installed backend, if the user leaves that open, before Keras is imported.

    An explicit ``KERAS_BACKEND`` is respected. Without one, the backend of ``keras.json`` is kept
    when it is installed; otherwise the first installed one of JAX, PyTorch and TensorFlow is used.

    Raises:
        ImportError: if the chosen backend, or any backend at all, is missing.
    """
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        if chosen not in (*MODULES, "numpy"):
            raise ImportError(
                f"KERAS_BACKEND={chosen} is no backend of Keras: set it to one of "
                f"{', '.join(PREFERENCE)}."
            )
        if not _installed(chosen):
            package = f"'cspdarknet[{chosen}]'" if chosen in PREFERENCE else MODULES[chosen]
            raise ImportError(
                f"KERAS_BACKEND={chosen}, but {MODULES[chosen]} is not installed: "
                f"run `pip install {package}`."
            )
        return
    if _installed(_configured()):
        return
    for backend in PREFERENCE:
        if _installed(backend):
            os.environ["KERAS_BACKEND"] = backend
            return
    raise ImportError(
        "cspdarknet needs a Keras backend and found none: run `pip install 'cspdarknet[jax]'` "
        "(or `[torch]`, `[tensorflow]`)."
    )


# The classes that saved models hold, and their modules.
CLASSES = {
    "CSPDarkNetBackbone": "cspdarknet.models.backbone",
    "DecodeBoxes": "cspdarknet.yolox.postprocess",
    "ImageClassifier": "cspdarknet.models.classifier",
    "Letterbox": "cspdarknet.yolox.letterbox_layer",
    "NonMaxSuppression": "cspdarknet.yolox.postprocess",
    "RestoreBoxes": "cspdarknet.yolox.postprocess",
    "YOLOXDetector": "cspdarknet.models.detector",
}


def prepare_keras() -> None:
    """Choose the backend before Keras is imported, and tell it of this package's classes after."""
    if sys.modules.get("keras") is None:
        sys.meta_path.insert(0, _KerasFinder())
        return
    keras = import_module("keras")  # which waits, if another thread is still importing it
    if hasattr(keras, "saving"):  # unless it is Keras that imports this package
        _announce_classes(keras)


class _KerasFinder:
    """Finds Keras as the other finders of `sys.meta_path` do, and adds two steps to its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
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
            _announce_classes(module)

        loader.exec_module = exec_module


def _announce_classes(keras: Any) -> None:
    """Register a stand-in for each class, until the module of the class replaces it."""
    registry = keras.saving.get_custom_objects()
    for name in CLASSES:
        registry.setdefault(f"cspdarknet>{name}", _stand_in(name))


def _stand_in(name: str) -> type:
    def from_config(_: type, config: dict[str, Any], custom_objects: Any = None) -> Any:
        real: Any = getattr(import_module(CLASSES[name]), name)
        given = {} if custom_objects is None else {"custom_objects": custom_objects}
        return real.from_config(config, **given)

    return type(name, (), {"from_config": classmethod(from_config)})
