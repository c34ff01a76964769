"""What is due when Keras is imported, whoever imports it.

`import cspdarknet` does not import Keras: an exported model runs without it. But Keras needs a
backend that is installed, and must find this package's classes when it reads a saved model.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from cspdarknet._backend import ensure_backend

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
