"""`.safetensors` files: the variables of a model by path, and its config in the metadata.

A file is the length of its header, the header (JSON: type, shape and place of each array), and the
numbers. Source: the README of huggingface/safetensors, section "Format".
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError, damage_reported
from cspdarknet.checkpoints.layer_forms import merged_variables
from cspdarknet.checkpoints.targets import Target, target

CONFIG = "cspdarknet_config"
METADATA = "__metadata__"
CLASSIFIER_HEAD = ("predictions/kernel", "predictions/bias")
DETECTOR_HEAD = ("neck_", "head_")  # prefixes of the layers of a detector's neck and head
LENGTH_BYTES = 8
# NumPy has no bfloat16: its bits are read as an integer.
BFLOAT16 = "BF16"
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    BFLOAT16: "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != BFLOAT16}


@dataclass(frozen=True)
class _Array:
    """Type, shape and place of an array."""

    dtype: str
    shape: tuple[int, ...]
    start: int


class SafetensorsFile:
    """A `.safetensors` file, whose arrays are read when they are asked for.

    Args:
        path: the file.

    Attributes:
        path: the file.
        shapes: shape of each array by its name.
        metadata: texts by name.

    Raises:
        CheckpointError: if the file is damaged, or claims more than it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with damage_reported(path, "safetensors file"), path.open("rb") as file:
            size = file.seek(0, 2) - LENGTH_BYTES
            file.seek(0)
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if length > min(size, limits.MAX_HEADER_BYTES):
                raise CheckpointError("its header is cut off, or too long.")
            header = json.loads(file.read(length))
            self.metadata: dict[str, Any] = header.pop(METADATA, {})
            self._arrays = _checked(header, size - length, LENGTH_BYTES + length)
        self.shapes = {name: array.shape for name, array in self._arrays.items()}

    def read(self, name: str) -> np.ndarray:
        """Return an array of numbers as float32, or as float64 if it is stored so."""
        with damage_reported(self.path, "safetensors file"), self.path.open("rb", 0) as file:
            array = self._arrays[name]
            file.seek(array.start)
            numbers = np.empty(array.shape, DTYPES[array.dtype])
            content = numbers.reshape(-1).view(np.uint8).data
            if file.readinto(content) != numbers.nbytes:  # type: ignore[attr-defined]
                raise CheckpointError("it was cut off while it was read.")
            if array.dtype == BFLOAT16:  # the upper half of a float32
                return np.asarray(numbers.astype("<u4") << 16).view("<f4")
            return numbers.astype("float64" if array.dtype == "F64" else "float32", copy=False)


def _checked(header: dict[str, Any], size: int, first: int) -> dict[str, _Array]:
    """Return the arrays of a header, which must fill the bytes after it without gaps."""
    arrays, places = {}, []
    for name, entry in header.items():
        (dtype, shape), (start, end) = (entry["dtype"], entry["shape"]), entry["data_offsets"]
        if dtype not in DTYPES:
            raise CheckpointError(f"the type {dtype!r} of {name!r} is not supported.")
        numbers = (*shape, start, end)
        if len(shape) > limits.MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in numbers):
            raise CheckpointError(f"the shape or the place of {name!r} is malformed.")
        if math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != end - start:
            raise CheckpointError(f"the shape of {name!r} contradicts its bytes.")
        arrays[name] = _Array(dtype, tuple(shape), first + start)
        places.append((start, end))
    last = 0
    for start, end in sorted(places):
        if start != last:
            raise CheckpointError("its arrays overlap, or leave gaps.")
        last = end
    if last != size:
        raise CheckpointError(f"it has {size} bytes of arrays, and lists {last}.")
    return arrays


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins as a safetensors file does: a length, then a JSON object."""
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    return start[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and length < 1 << 32


def checkpoint(path: Path) -> Checkpoint:
    """Return the `Checkpoint` of a `.safetensors` file.

    Raises:
        CheckpointError: if the file is damaged.
    """
    file = SafetensorsFile(path)
    arguments = _arguments(file)
    return Checkpoint(
        path,
        "safetensors",
        file.shapes,
        file.read,
        layout,
        lambda: ModelConfig.from_arguments(arguments),
        head=_head_paths(file.shapes),
    )


def _arguments(file: SafetensorsFile) -> dict[str, Any]:
    """Return the constructor arguments in the metadata; none in files of other programs."""
    with damage_reported(file.path, "safetensors file"):
        arguments = json.loads(file.metadata.get(CONFIG, "{}"))
    if not isinstance(arguments, dict):
        raise CheckpointError(f"{file.path} has a malformed config in its metadata.")
    return arguments


def _head_paths(paths: Collection[str]) -> tuple[str, ...]:
    detector = tuple(path for path in paths if path.startswith(DETECTOR_HEAD))
    return tuple(path for path in CLASSIFIER_HEAD if path in paths) + detector


def layout(model: Any) -> dict[str, Target]:
    """Return paths as the model itself names its variables, such as `dark2_conv_conv/kernel`."""
    return {path: target(variable) for path, variable in merged_variables(model)}


def write(path: Path, arrays: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> None:
    """Write arrays and the constructor arguments of their model."""
    write_arrays(path, arrays, {CONFIG: json.dumps(arguments)})


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays by name.

    Args:
        path: the file, which is overwritten.
        arrays: arrays of numbers of any size.
        metadata: texts by name.

    Example:
        >>> write_arrays(Path("a.safetensors"), {"x": np.zeros((2, 3), "float32")})
        >>> SafetensorsFile(Path("a.safetensors")).shapes
        {'x': (2, 3)}
    """
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    # Large types first, so that every number lies at a multiple of its size.
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
    end = 0
    for name, array in ordered:
        start, end = end, end + array.nbytes
        dtype = TYPE_NAMES[array.dtype.newbyteorder("<").str]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
