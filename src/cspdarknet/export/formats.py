"""The file formats and precisions of `export`, and atomic replacement of earlier files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspdarknet.export.triton import CONFIG

# The precisions of weights, and the maximum relative error of the outputs in each.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": np.inf}
PRECISIONS = tuple(TOLERANCES)


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        suffix: the suffix of its files; `""` for a folder.
        runtime: the runtime that its files are for, if they are written from an ONNX graph.
        backend: the Keras backend that writes it, otherwise.
        precisions: the precisions of weights that it can hold.
        can_letterbox: whether it can hold the `Letterbox` layer, with images of any size.
    """

    suffix: str
    runtime: str | None = None
    backend: str | None = None
    precisions: tuple[str, ...] = ("float32",)
    can_letterbox: bool = True


# Of two formats with the same suffix, the last one is meant by a path without a format.
FORMATS = {
    "onnx": Format(".onnx", runtime="onnxruntime", precisions=PRECISIONS),
    "openvino": Format(".xml", runtime="openvino", precisions=PRECISIONS),
    "litert": Format(".tflite", backend="tensorflow", can_letterbox=False),
    "torch": Format(".pt2", backend="torch", can_letterbox=False),
    "triton": Format("", runtime="onnxruntime", precisions=PRECISIONS),
    "saved_model": Format("", backend="tensorflow"),
}
# The formats that are folders, and a file that each of them has.
FOLDERS = {"triton": CONFIG, "saved_model": "saved_model.pb"}


def format_of(path: Path, name: str | None = None) -> str:
    """Return the name of the format: the given one, or that of the path's suffix.

    Raises:
        ValueError: if there is no such format, or the path has another suffix.
    """
    by_suffix = {spec.suffix: format for format, spec in FORMATS.items()}
    format = by_suffix.get(path.suffix) if name is None else name
    if format not in FORMATS or path.suffix != FORMATS[format].suffix:
        choices = ", ".join(f"{k} ({v.suffix or 'a folder'})" for k, v in FORMATS.items())
        raise ValueError(
            f"`format` must be one of {choices}, and `path` must have its suffix. "
            f"Received: format={name!r}, path={str(path)!r}"
        )
    return format


def check_replaceable(path: Path, format: str) -> None:
    """Check that nothing but an earlier export of the same format would be replaced.

    Raises:
        ValueError: if there is something else at the path.
    """
    if not _is_replaceable(path, format):
        raise ValueError(
            f"`path` must be free, or an earlier export in the format {format!r}. Received: "
            f"path={str(path)!r}, which is something else: choose another path."
        )


def _is_replaceable(path: Path, format: str) -> bool:
    if format == "openvino" and not path.exists():
        return not path.with_suffix(".bin").exists()
    if format not in FOLDERS:
        return not path.is_dir()
    if path.is_symlink() or path.name in ("", ".."):
        return False
    if not path.exists():
        return True
    return path.is_dir() and ((path / FOLDERS[format]).exists() or not any(path.iterdir()))


def move_into_place(source: Path, path: Path) -> None:
    """Move a finished file or folder from a temporary folder to its path."""
    weights = source.with_suffix(".bin")
    if weights.exists():
        weights.replace(path.with_suffix(".bin"))
    if path.is_dir():
        path.rename(source.with_name("replaced"))  # is deleted with the temporary folder
    source.replace(path)
