"""Reading of untrusted HDF5 weight files."""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError, damage_reported
from cspdarknet.checkpoints.readers import hdf5_messages as messages
from cspdarknet.checkpoints.readers.hdf5_chunks import read_chunks
from cspdarknet.checkpoints.readers.hdf5_groups import members
from cspdarknet.checkpoints.readers.hdf5_messages import Dataset, DataType, Message
from cspdarknet.checkpoints.readers.hdf5_structure import (
    Blocks,
    heap_objects,
    read_header,
    root_address,
)

BFLOAT16 = "bfloat16"


class HDF5File:
    """An open HDF5 file of arrays.

    It is read without the HDF5 library, which a damaged file can crash together with the process.

    Args:
        path: the file, also named in error messages.
        stream: content to read in place of the file, for an HDF5 file inside an archive.

    Attributes:
        path: the file.
        shapes: shape of each dataset by its path.

    Raises:
        CheckpointError: if the file is damaged, or has content that a plain weight file never has.
    """

    def __init__(self, path: Path, stream: BinaryIO | None = None) -> None:
        self.path = path
        self._datasets: dict[str, Dataset] = {}
        self._attributes: dict[str, list[Message]] = {}  # of the groups
        self._heaps: dict[int, dict[int, bytes]] = {}  # text of variable length
        with self._damage_reported():
            self._stream: BinaryIO = path.open("rb", buffering=0) if stream is None else stream
        try:
            with self._damage_reported():
                self._blocks = Blocks(self._stream)
                self._find_datasets()
        except BaseException:
            self.close()
            raise
        self.shapes = {name: item.shape for name, item in self._datasets.items()}

    def _find_datasets(self) -> None:
        pending = [("", root_address(self._blocks))]
        while pending:
            path, address = pending.pop()
            if (
                len(path) > limits.MAX_PATH
                or len(self._datasets) + len(pending) > limits.MAX_OBJECTS
            ):
                raise CheckpointError(f"it repeats or nests too much at {path!r}: refused.")
            header = read_header(self._blocks, address)
            found = members(self._blocks, header)
            if found is None:
                self._datasets[path] = messages.decode_dataset(header)
                continue
            self._attributes[path] = [m for m in header if m.kind == messages.ATTRIBUTE]
            pending += [(f"{path}/{name}" if path else name, member) for name, member in found]
        claimed = sum(item.bytes for item in self._datasets.values())
        if claimed > limits.max_content_bytes(self._blocks.size):
            raise CheckpointError(f"it has {self._blocks.size} bytes and claims to hold {claimed}.")

    def read(self, name: str) -> np.ndarray:
        """Return a dataset of numbers as float32, or as float64 if it is stored so."""
        with self._damage_reported():
            dataset = self._datasets[name]
            dtype = dataset.dtype.numpy
            if dtype is not None and dtype.kind == "V" and self._is_bfloat16(dataset):
                # The two bytes are the upper half of a float32.
                bits = self._read(dataset, np.dtype("<u2"))
                return np.asarray(bits.astype("<u4") << 16).view("<f4")
            if dtype is None or dtype.kind not in "fiu":
                raise CheckpointError(
                    f"{self.path}: {name!r} holds text or other values, not numbers."
                )
            array = self._read(dataset, dtype)
            return array.astype("float64" if dtype.str[1:] == "f8" else "float32", copy=False)

    def _is_bfloat16(self, dataset: Dataset) -> bool:
        return self._names(dataset.attributes, "dtype") == [BFLOAT16]

    def _read(self, dataset: Dataset, dtype: np.dtype[Any]) -> np.ndarray:
        if dataset.chunk is not None:
            return read_chunks(Blocks(self._stream), dataset, dtype)
        array = np.empty(dataset.shape, dtype)
        if array.size:
            self._stream.seek(dataset.address)
            content = array.reshape(-1).view(np.uint8).data
            if self._stream.readinto(content) != array.nbytes:  # type: ignore[attr-defined]
                raise CheckpointError("it refers to bytes that it does not have.")
        return array

    def names(self, attribute: str, group: str = "") -> list[str] | None:
        """Return an attribute that lists names; `None` if the group has no such attribute."""
        with self._damage_reported():
            return self._names(self._attributes[group], attribute)

    def _names(self, attributes: Iterable[Message], wanted: str) -> list[str] | None:
        for message in attributes:
            name, dtype, space, content = messages.decode_attribute(message.data)
            if name == wanted:
                count = prod(messages.decode_shape(space))
                return self._texts(messages.decode_type(dtype), count, content)
        return None

    def _texts(self, dtype: DataType, count: int, content: bytes) -> list[str]:
        if count * dtype.size > len(content):
            raise CheckpointError("it has an attribute that is cut off.")
        items = [content[i * dtype.size : (i + 1) * dtype.size] for i in range(count)]
        if dtype.is_variable_text:
            return [self._variable_text(item).decode() for item in items]
        if items and (dtype.numpy is None or dtype.numpy.kind != "S"):
            raise CheckpointError("it has an attribute of numbers where names are expected.")
        return [item.split(b"\0")[0].decode() for item in items]

    def _variable_text(self, reference: bytes) -> bytes:
        """Return the text of variable length that a reference into a global heap names."""
        length, address, index = struct.unpack("<IQI", reference)
        if address not in self._heaps:
            self._heaps[address] = dict(heap_objects(self._blocks, address))
        return self._heaps[address][index][:length]

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        with damage_reported(self.path, "readable HDF5 file"):
            yield
