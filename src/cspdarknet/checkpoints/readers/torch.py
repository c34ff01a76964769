"""PyTorch `.pth` files, read and written without PyTorch and without executing their code.

A `.pth` file (PyTorch 1.6 and later) is an uncompressed zip archive: `data.pkl` is a pickle that
names tensors, and `data/0`, `data/1`, ... hold their bytes. The unpickler here allows only the
few functions that plain checkpoints need.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError

MAX_BYTES = 4 << 30
MAX_PICKLE_BYTES = 64 << 20
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


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a state dict, or of a training checkpoint's `"model"`, by name.

    Raises:
        CheckpointError: as `read_torch`, or if the file does not hold a dict.
    """
    content = read_torch(path)
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not hold a state dict.")
    return {name: item for name, item in content.items() if isinstance(item, np.ndarray)}


def read_torch(path: Path) -> Any:
    """Return the content of a `.pth` file, with NumPy arrays in place of tensors.

    Raises:
        CheckpointError: if the file is damaged, of PyTorch before 1.6, or holds anything other than
            tensors, numbers, strings and containers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(path, archive).read()
    except CheckpointError:
        raise
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path} is not a PyTorch file of version 1.6 or later, or damaged: {error}. A file "
            "of an older PyTorch becomes readable when a newer one loads and saves it."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Storage:
    """Numbers of one dtype, which tensors refer to: `data/{key}` in the archive."""

    dtype: str
    key: str
    size: int


class _Reader:
    """Reader of one archive, with every size and offset checked."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.archive = archive
        self.entries = {info.filename: info for info in archive.infolist()}
        if sum(info.file_size for info in self.entries.values()) > MAX_BYTES:
            raise CheckpointError(f"{path} claims to hold more than {MAX_BYTES} bytes: refused.")
        if any(info.compress_type != zipfile.ZIP_STORED for info in self.entries.values()):
            raise CheckpointError(f"{path} is compressed, which PyTorch files never are: refused.")
        pickles = [name for name in self.entries if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError(f"{path} is not a PyTorch file: it has no data.pkl.")
        self.folder = pickles[0].removesuffix("data.pkl")
        if self.entries[pickles[0]].file_size > MAX_PICKLE_BYTES:
            raise CheckpointError(f"{path} has too large a data.pkl: refused.")
        order = self.entries.get(f"{self.folder}byteorder")
        if order is not None and archive.read(order) != b"little":
            raise CheckpointError(f"{path} was written on a big-endian machine: not supported.")

    def read(self) -> Any:
        data = self.archive.read(f"{self.folder}data.pkl")
        return _Unpickler(io.BytesIO(data), self).load()

    def storage(self, identity: Any) -> _Storage:
        if not (isinstance(identity, tuple) and len(identity) == 5 and identity[0] == "storage"):
            raise CheckpointError(f"{self.path} holds an unknown type of storage.")
        _, dtype, key, _, size = identity
        info = self.entries.get(f"{self.folder}data/{key}")
        if not isinstance(dtype, str) or info is None or not isinstance(size, int):
            raise CheckpointError(f"{self.path} names a storage that is not in the file: {key!r}.")
        if info.file_size != size * _item_size(dtype):
            raise CheckpointError(
                f"{self.path}: the storage {key!r} has {info.file_size} bytes, {size} numbers of "
                f"{dtype} were declared."
            )
        return _Storage(dtype, key, size)

    def tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> np.ndarray:
        """Build an array as `torch._utils._rebuild_tensor_v2` does, with every bound checked."""
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(
            isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers
        ):
            raise CheckpointError(f"{self.path} holds a malformed tensor.")
        empty = 0 in shape
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if not empty and last >= storage.size:
            raise CheckpointError(f"{self.path} holds a tensor that reaches beyond its storage.")
        if int(np.prod(shape, dtype=object)) > max(storage.size, 1):
            raise CheckpointError(f"{self.path} holds a tensor larger than its storage.")
        data = self.archive.read(f"{self.folder}data/{storage.key}")
        flat = _decode(data, storage.dtype)
        if empty:
            return np.zeros(shape, flat.dtype)
        steps = [s * flat.itemsize for s in strides]
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, steps).copy()


def _item_size(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _decode(data: bytes, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))


class _Unpickler(pickle.Unpickler):
    """Unpickler that allows only the harmless functions that plain checkpoints need."""

    def __init__(self, file: io.BytesIO, reader: _Reader) -> None:
        super().__init__(file, encoding="utf-8")
        self.reader = reader

    def persistent_load(self, identity: Any) -> _Storage:
        return self.reader.storage(identity)

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self.reader.tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("torch", "Size"): tuple,
            ("torch", "device"): lambda *names: ":".join(map(str, names)),
            # Trainers keep their best score as a NumPy number, which is not needed here.
            ("numpy", "dtype"): _Unused,
            ("numpy.core.multiarray", "scalar"): _Unused,
            ("numpy._core.multiarray", "scalar"): _Unused,
            ("_codecs", "encode"): _Unused,
        }
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) in allowed:
            return allowed[module, name]
        raise CheckpointError(
            f"{self.reader.path} wants to call {module}.{name}, which a plain checkpoint does not "
            "need: refused. Save the state dict alone, torch.save(model.state_dict(), path)."
        )


class _Unused:
    """Placeholder of a value that is not needed. It accepts any arguments and any state."""

    def __init__(self, *args: Any) -> None:
        del args

    def __setstate__(self, state: Any) -> None:
        del state


# Writing.


def write_torch(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a state dict that `torch.load(path, weights_only=True)` reads.

    Args:
        path: the file, which is overwritten.
        tensors: float32 or int64 arrays by name.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickle(tensors))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
        for i, array in enumerate(tensors.values()):
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            archive.writestr(f"archive/data/{i}", little.tobytes())


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
