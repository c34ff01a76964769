"""Export of models to files for other software: fusion, ONNX, OpenVINO, LiteRT, int8.

Each name is imported on use, since the optional packages are.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cspdarknet.export.exporter import export
    from cspdarknet.export.fusion import fuse
    from cspdarknet.export.onnx.model import build_onnx
    from cspdarknet.export.quantization import quantize

__all__ = ["build_onnx", "export", "fuse", "quantize"]

_MODULES = {
    "build_onnx": "onnx.model",
    "export": "exporter",
    "fuse": "fusion",
    "quantize": "quantization",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
