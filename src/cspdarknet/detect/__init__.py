"""Find objects in photos and videos, and write down what was found."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cspdarknet.detect.detections import Detections

if TYPE_CHECKING:
    from cspdarknet.detect.photos import detect, detect_in_arrays

__all__ = ["Detections", "detect", "detect_in_arrays"]


# Imported on use: `Detections` is needed where nothing is read from files, and nothing trained.
def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.photos"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
