"""Inference: from images and videos to features, classes and boxes.

Each name is imported on use: `Predictor` with an exported file needs neither Keras nor a backend.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.features import FeatureExtractor
    from cspdarknet.inference.photos import detect, detect_in_arrays
    from cspdarknet.inference.predictor import Predictor

__all__ = ["FeatureExtractor", "ObjectDetector", "Predictor", "detect", "detect_in_arrays"]

_MODULES = {
    "FeatureExtractor": "features",
    "ObjectDetector": "detect",
    "Predictor": "predictor",
    "detect": "photos",
    "detect_in_arrays": "photos",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
