"""CSPDarkNet, the convolutional backbone of the YOLO line, for Keras 3.

`import cspdarknet as keras_cv` serves code that was written for
`keras_cv.models.CSPDarkNetBackbone`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cspdarknet._keras import prepare_keras
from cspdarknet._version import __version__

if TYPE_CHECKING:
    from cspdarknet import (
        checkpoints,
        conversion,
        data,
        evaluate,
        export,
        inference,
        layers,
        models,
        train,
        visualize,
    )
    from cspdarknet.detections import Detections
    from cspdarknet.inference import Predictor
    from cspdarknet.models import (
        CSPDarkNetBackbone,
        CSPDarkNetLBackbone,
        CSPDarkNetMBackbone,
        CSPDarkNetSBackbone,
        CSPDarkNetTinyBackbone,
        CSPDarkNetXLBackbone,
        ImageClassifier,
        YOLOXDetector,
        load_model,
    )
    from cspdarknet.presets.upload import upload_preset

# The module of each public name, imported on use: an exported model runs without Keras.
_HOMES = {
    "CSPDarkNetBackbone": "models",
    "CSPDarkNetLBackbone": "models",
    "CSPDarkNetMBackbone": "models",
    "CSPDarkNetSBackbone": "models",
    "CSPDarkNetTinyBackbone": "models",
    "CSPDarkNetXLBackbone": "models",
    "Detections": "detections",
    "ImageClassifier": "models",
    "Predictor": "inference",
    "YOLOXDetector": "models",
    "load_model": "models",
    "upload_preset": "presets.upload",
}
_MODULES = (
    "checkpoints",
    "conversion",
    "data",
    "evaluate",
    "export",
    "inference",
    "layers",
    "models",
    "train",
    "visualize",
)

__all__ = [  # noqa: PLE0604, RUF022  (the names above, for `from cspdarknet import *`)
    "__version__",
    "CSPDarkNetBackbone",
    "CSPDarkNetLBackbone",
    "CSPDarkNetMBackbone",
    "CSPDarkNetSBackbone",
    "CSPDarkNetTinyBackbone",
    "CSPDarkNetXLBackbone",
    "Detections",
    "ImageClassifier",
    "Predictor",
    "YOLOXDetector",
    "checkpoints",
    "conversion",
    "data",
    "evaluate",
    "export",
    "inference",
    "layers",
    "load_model",
    "models",
    "train",
    "upload_preset",
    "visualize",
]

prepare_keras()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
