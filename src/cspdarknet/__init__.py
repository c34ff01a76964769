"""CSPDarkNet, the convolutional backbone of the YOLO line, for Keras 3.

``import cspdarknet as keras_cv`` serves code that was written for
``keras_cv.models.CSPDarkNetBackbone``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cspdarknet._version import __version__
from cspdarknet._with_keras import prepare_keras

if TYPE_CHECKING:
    from cspdarknet import checkpoints, deploy, layers, models
    from cspdarknet.models import (
        CSPDarkNetBackbone,
        CSPDarkNetLBackbone,
        CSPDarkNetMBackbone,
        CSPDarkNetSBackbone,
        CSPDarkNetTinyBackbone,
        CSPDarkNetXLBackbone,
        ImageClassifier,
        YOLOXDetector,
    )
    from cspdarknet.presets.upload import upload_preset

__all__ = [
    "CSPDarkNetBackbone",
    "CSPDarkNetLBackbone",
    "CSPDarkNetMBackbone",
    "CSPDarkNetSBackbone",
    "CSPDarkNetTinyBackbone",
    "CSPDarkNetXLBackbone",
    "ImageClassifier",
    "YOLOXDetector",
    "__version__",
    "checkpoints",
    "deploy",
    "layers",
    "models",
    "upload_preset",
]

_SUBPACKAGES = ("checkpoints", "deploy", "layers", "models")

prepare_keras()


# Each name is imported on use: an exported model runs without Keras.
def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    home = "presets.upload" if name == "upload_preset" else "models"
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
