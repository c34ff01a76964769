"""Run trained models fast, and take them elsewhere: fusion, export, quantisation, `Predictor`.

Each name is imported on use: `Predictor` with an exported file needs neither Keras nor a backend.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cspdarknet.deploy.exporting import export
    from cspdarknet.deploy.fusion import fuse
    from cspdarknet.deploy.onnx_model import build_onnx
    from cspdarknet.deploy.predictor import Predictor
    from cspdarknet.deploy.quantization import quantize

__all__ = ["Predictor", "build_onnx", "export", "fuse", "quantize"]

_MODULES = {
    "Predictor": "predictor",
    "build_onnx": "onnx_model",
    "export": "exporting",
    "fuse": "fusion",
    "quantize": "quantization",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
