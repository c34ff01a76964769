"""Import hook that prepares Keras on its first import: backend choice and serialization.

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


def _configured() -> str:
    """Return the backend of Keras's configuration file, or Keras's default without that file."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        config = json.loads((home / "keras.json").read_text())
        return str(config.get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def ensure_backend() -> None:
    """Set `KERAS_BACKEND` to an installed backend, unless the user has chosen one.

    An explicit `KERAS_BACKEND` is respected. Without one, the backend of `keras.json` is kept if it
    is installed; otherwise the first installed one of JAX, PyTorch and TensorFlow is used.

    Raises:
        ImportError: if the chosen backend, or any backend at all, is not installed.
    """
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
    if _installed(_configured()):
        return
    for backend in PREFERENCE:
        if _installed(backend):
            os.environ["KERAS_BACKEND"] = backend
            return
    raise ImportError(
        "cspdarknet needs a Keras backend, but none is installed: run "
        "`pip install 'cspdarknet[jax]'` (or `[torch]`, `[tensorflow]`)."
    )


# The classes of this package in saved models, and their modules.
CLASSES = {
    "CSPDarkNetBackbone": "cspdarknet.models.backbone",
    "DecodeBoxes": "cspdarknet.yolox.postprocess",
    "ImageClassifier": "cspdarknet.models.classifier",
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

        loader.exec_module = exec_module


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
