"""Export of models to files for other software: ONNX, OpenVINO, LiteRT, PyTorch, SavedModel.

Each name is imported on first use, since each needs optional packages.
"""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.export.exporter import ExportResult, export
    from cspdarknet.export.fusion import fuse
    from cspdarknet.export.onnx.model import build_onnx
    from cspdarknet.export.quantization import quantize

__all__ = ["ExportResult", "build_onnx", "export", "fuse", "quantize"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ExportResult": "exporter",
        "build_onnx": "onnx.model",
        "export": "exporter",
        "fuse": "fusion",
        "quantize": "quantization",
    },
)
