"""PyTorch `.pth` files, read and written without PyTorch and without executing their code.

A `.pth` file (PyTorch 1.6 and later) is an uncompressed zip archive: `data.pkl` is a pickle that
names tensors, and `data/0`, `data/1`, ... hold their bytes. Of the functions that the pickle calls,
only the few that plain checkpoints need are known here.
"""

import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError, damage_reported, shortened
from cspdarknet.checkpoints.readers.unpickle import Name, Unused, unpickle
from cspdarknet.checkpoints.readers.zip_file import ZipFile

STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
BITS = {"bfloat16": "uint16"}  # the bits of a type that NumPy does not have, as numbers


def read_torch(path: Path) -> Any:
    """Return the content of a `.pth` file, with NumPy arrays in place of tensors.

    Arrays that share their numbers in the file share them in memory, too: do not change them.

    Raises:
        CheckpointError: if the file is damaged, of PyTorch before 1.6, or holds anything other than
            tensors, numbers, strings and containers.
    """
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is not a PyTorch file of version 1.6 or later, or damaged: it is not a zip "
            "archive. A file of an older PyTorch becomes readable when a newer one loads and saves "
            "it."
        )
    with ZipFile(path) as archive:
        return _Reader(path, archive).read()


@dataclass(frozen=True)
class _Storage:
    """Numbers of one dtype, which tensors refer to: `data/{key}` in the archive."""

    dtype: str
    key: str
    size: int


class _Reader:
    """Reader of one archive, with every size and offset checked."""

    def __init__(self, path: Path, archive: ZipFile) -> None:
        self.path = path
        self.archive = archive
        if archive.is_compressed:
            raise CheckpointError(f"{path} is compressed, which PyTorch files never are: refused.")
        pickles = [name for name in archive.members if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError(f"{path} is not a PyTorch file: it has no data.pkl.")
        self.folder = pickles[0].removesuffix("data.pkl")
        order = f"{self.folder}byteorder"
        if order in archive.members and archive.read(order, 16) != b"little":
            raise CheckpointError(f"{path} was written on a big-endian machine: not supported.")
        self._arrays: dict[str, np.ndarray] = {}
        self._left = limits.max_content_bytes(path.stat().st_size)
        self._functions: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): _ordered_dict,
            ("torch._utils", "_rebuild_tensor_v2"): self.tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("torch", "Size"): lambda sizes: sizes,
            ("torch", "device"): lambda *_: Unused(),
            # Trainers keep their best score as a NumPy number, which is not needed here.
            ("numpy", "dtype"): lambda *_: Unused(),
            ("numpy.core.multiarray", "scalar"): lambda *_: Unused(),
            ("numpy._core.multiarray", "scalar"): lambda *_: Unused(),
            ("_codecs", "encode"): lambda *_: Unused(),
        }

    def read(self) -> Any:
        data = self.archive.read(f"{self.folder}data.pkl", limits.MAX_PICKLE_BYTES)
        with damage_reported(self.path, "PyTorch file"):
            return unpickle(data, self.call, self.storage)

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        known = self._functions.get((function.module, function.name))
        if known is None:
            name = shortened(f"{function.module}.{function.name}", 100)
            raise CheckpointError(
                f"{self.path} wants to call {name}, which a plain checkpoint does not need: "
                "refused. Save the state dict alone, torch.save(model.state_dict(), path)."
            )
        return known(*arguments)

    def storage(self, identity: Any) -> _Storage:
        if not (isinstance(identity, tuple) and len(identity) == 5 and identity[0] == "storage"):
            raise CheckpointError(f"{self.path} holds an unknown type of storage.")
        _, kind, key, _, size = identity
        dtype = STORAGES.get(kind.name) if isinstance(kind, Name) and kind.module == "torch" else ""
        name = f"{self.folder}data/{key}" if isinstance(key, str) else ""
        if not dtype or name not in self.archive.members or not isinstance(size, int):
            raise CheckpointError(f"{self.path} names a storage that is not in the file.")
        if self.archive.members[name] != size * _bits(dtype).itemsize:
            raise CheckpointError(
                f"{self.path}: the storage {key!r} has {self.archive.members[name]} bytes, {size} "
                f"numbers of {dtype} were declared."
            )
        return _Storage(dtype, name, size)

    def tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> np.ndarray:
        """Return an array like `torch._utils._rebuild_tensor_v2`, with every bound checked."""
        if not isinstance(storage, _Storage) or not _are_sizes((offset,), shape, strides):
            raise CheckpointError(f"{self.path} holds a malformed tensor.")
        size = math.prod(shape)
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if size and last >= storage.size:
            raise CheckpointError(f"{self.path} holds a tensor that reaches beyond its storage.")
        if size > max(storage.size, 1):
            raise CheckpointError(f"{self.path} holds a tensor larger than its storage.")
        bits = _bits(storage.dtype)
        self._left -= size * bits.itemsize
        if self._left < 0:
            raise CheckpointError(
                f"{self.path} holds more tensors than a file of its size: refused."
            )
        if not size:
            return np.zeros(shape, bits)
        if storage.key not in self._arrays:
            self._arrays[storage.key] = self.archive.read_array(storage.key)
        steps = [s * bits.itemsize for s in strides]
        array = np.ndarray(shape, bits, self._arrays[storage.key], offset * bits.itemsize, steps)
        return _from_bfloat16(array) if storage.dtype == "bfloat16" else array


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    if items:
        raise CheckpointError(
            "its pickle has an OrderedDict in a form that PyTorch does not write."
        )
    return {}


def _are_sizes(offset: Any, shape: Any, strides: Any) -> bool:
    """Whether these are non-negative integers, with one stride for each dimension."""
    return (
        isinstance(shape, (tuple, list))
        and isinstance(strides, (tuple, list))
        and len(shape) == len(strides) <= limits.MAX_DIMENSIONS
        and all(type(n) is int and 0 <= n < 1 << 62 for n in (*offset, *shape, *strides))
    )


def _bits(dtype: str) -> np.dtype[Any]:
    return np.dtype(BITS.get(dtype, dtype)).newbyteorder("<")


def _from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return bfloat16 numbers, which are the upper half of a float32, as float32."""
    return np.asarray(bits.astype("<u4") << 16).view("<f4")


# Writing.


def write_torch(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a state dict that `torch.load(path, weights_only=True)` reads.

    Args:
        path: the file, which is overwritten.
        tensors: float32 or int64 arrays by name.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def write(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)  # without the time

        write("data.pkl", _pickle(tensors))
        write("byteorder", b"little")
        write("version", b"3\n")
        for i, array in enumerate(tensors.values()):
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            write(f"data/{i}", little.tobytes())


def _pickle(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return the pickle (protocol 2) of an `OrderedDict` of tensors."""
    out = [b"\x80\x02", _call(b"collections", b"OrderedDict", b")"), b"("]
    for i, (name, array) in enumerate(tensors.items()):
        storage = {"float32": b"FloatStorage", "int64": b"LongStorage"}[array.dtype.name]
        strides = [step // array.itemsize for step in np.empty(array.shape, array.dtype).strides]
        identity = [
            _text("storage"),
            b"ctorch\n" + storage + b"\n",
            _text(str(i)),
            _text("cpu"),
            _number(array.size),
        ]
        arguments = [
            _tuple(identity) + b"Q",
            _number(0),
            _tuple(map(_number, array.shape)),
            _tuple(map(_number, strides)),
            b"\x89",  # requires no gradient
            _call(b"collections", b"OrderedDict", b")"),  # has no hooks
        ]
        out += [_text(name), _call(b"torch._utils", b"_rebuild_tensor_v2", _tuple(arguments))]
    return b"".join([*out, b"u."])


def _call(module: bytes, name: bytes, arguments: bytes) -> bytes:
    return b"c" + module + b"\n" + name + b"\n" + arguments + b"R"


def _tuple(items: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def _number(number: int) -> bytes:
    return b"J" + number.to_bytes(4, "little", signed=True)
