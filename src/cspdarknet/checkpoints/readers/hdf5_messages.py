"""Decoding of the messages in HDF5 object headers: shapes, number types, storage, attributes.

Source: HDF5 File Format Specification, section "Object Header Messages".
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError

UNDEFINED = 2**64 - 1  # address of what is not stored
# Types of messages.
DATASPACE, LINK_INFO, DATATYPE, LINK = 0x01, 0x02, 0x03, 0x06
EXTERNAL_FILES, LAYOUT, GROUP_INFO, FILTERS, ATTRIBUTE = 0x07, 0x08, 0x0A, 0x0B, 0x0C
CONTINUATION, SYMBOL_TABLE = 0x10, 0x11
# Classes of data types, and of layouts.
INTEGER, FLOAT, STRING, OPAQUE, VARIABLE_LENGTH = 0, 1, 3, 5, 9
COMPACT, CONTIGUOUS, CHUNKED, VIRTUAL = range(4)
# Bits in the flags of a data type.
BIG_ENDIAN, SIGNED = 1, 8
# IEEE numbers by their bytes: bit offset, precision, place and size of exponent and of mantissa,
# and the exponent's bias.
IEEE = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}
DEFLATE, SHUFFLE = 1, 2  # filters of chunks


@dataclass(frozen=True)
class Message:
    """A message of an object header.

    Attributes:
        kind: its type.
        data: its content.
        address: place of the content in the file.
    """

    kind: int
    data: bytes
    address: int


@dataclass(frozen=True)
class DataType:
    """Type of the elements of a dataset or an attribute.

    Attributes:
        size: bytes of an element.
        numpy: the NumPy type; `None` for other values than numbers and text of fixed length.
        is_variable_text: whether the elements refer to text of variable length.
    """

    size: int
    numpy: np.dtype[Any] | None = None
    is_variable_text: bool = False


@dataclass(frozen=True)
class Dataset:
    """Shape, element type and storage of an array.

    Attributes:
        shape: the shape.
        dtype: the type of its elements.
        address: place of its bytes, or of the index of its chunks.
        chunk: shape of a chunk; `None` if the bytes are in one place.
        filters: the filters of the chunks, in the order of writing.
        attributes: messages of its attributes.
    """

    shape: tuple[int, ...]
    dtype: DataType
    address: int
    chunk: tuple[int, ...] | None
    filters: tuple[int, ...]
    attributes: tuple[Message, ...]

    @property
    def bytes(self) -> int:
        """Size of the array."""
        return math.prod(self.shape) * self.dtype.size


def unusual(form: str) -> CheckpointError:
    """Return the error of a file in a form that weight files do not have."""
    return CheckpointError(
        f"it has {form}, which Keras does not write: copy it with `h5repack -l CONTI -f NONE`."
    )


def decode_shape(data: bytes) -> tuple[int, ...]:
    """Return the shape that a dataspace message states."""
    version, rank = data[:2]
    if version not in (1, 2) or rank > limits.MAX_DIMENSIONS:
        raise CheckpointError(f"it has an array of {rank} dimensions.")
    if version == 2 and data[3] == 2:  # without elements
        return (0,)
    return struct.unpack_from(f"<{rank}Q", data, 8 if version == 1 else 4)


def decode_type(data: bytes) -> DataType:
    """Return the element type that a datatype message states."""
    kind, flags = data[0] & 15, data[1]
    size = int.from_bytes(data[4:8], "little")
    order = ">" if flags & BIG_ENDIAN else "<"
    if kind == FLOAT and struct.unpack_from("<HHBBBBI", data, 8) == IEEE.get(size):
        return DataType(size, np.dtype(f"{order}f{size}"))
    if kind == INTEGER and struct.unpack_from("<HH", data, 8) == (0, 8 * size) and size <= 8:
        return DataType(size, np.dtype(f"{order}{'i' if flags & SIGNED else 'u'}{size}"))
    if kind == STRING and size:
        return DataType(size, np.dtype(f"S{size}"))
    if kind == OPAQUE and size == 2:  # bfloat16, as Keras stores it
        return DataType(size, np.dtype("V2"))
    return DataType(size, is_variable_text=kind == VARIABLE_LENGTH and flags & 15 == 1)


def decode_dataset(messages: list[Message]) -> Dataset:
    """Return the dataset that the messages of an object header describe."""
    content = {message.kind: message for message in messages}
    data, address = content[LAYOUT].data, content[LAYOUT].address
    version, layout = data[:2]
    if EXTERNAL_FILES in content or (version == 4 and layout == VIRTUAL):
        raise CheckpointError("it stores an array outside the file: refused.")
    shape = decode_shape(content[DATASPACE].data)
    dtype = decode_type(content[DATATYPE].data)
    chunk: tuple[int, ...] | None = None
    filters: tuple[int, ...] = ()
    if version in (3, 4) and layout in (COMPACT, CONTIGUOUS):
        if layout == COMPACT:
            address, stored = address + 4, int.from_bytes(data[2:4], "little")
        else:
            address, stored = struct.unpack_from("<QQ", data, 2)
        stored = 0 if address == UNDEFINED else stored
        needed = math.prod(shape) * dtype.size
        if needed > stored:
            raise CheckpointError(f"it has an array of {needed} bytes and stores {stored} of them.")
    elif version == 3 and layout == CHUNKED:
        address, chunk = _decode_chunks(data, len(shape), dtype.size)
        filters = _decode_filters(content[FILTERS].data) if FILTERS in content else ()
    else:
        raise unusual(f"a dataset with the layout {layout} of version {version}")
    attributes = tuple(message for message in messages if message.kind == ATTRIBUTE)
    return Dataset(shape, dtype, address, chunk, filters, attributes)


def _decode_chunks(data: bytes, rank: int, item_size: int) -> tuple[int, tuple[int, ...]]:
    """Return the address of the index of chunks, and the shape of a chunk."""
    address, *sizes = struct.unpack_from(f"<Q{data[2]}I", data, 3)
    if data[2] != rank + 1 or sizes[-1] != item_size or 0 in sizes:
        raise CheckpointError("it has a chunked array whose sizes contradict each other.")
    return address, tuple(sizes[:-1])


def _decode_filters(data: bytes) -> tuple[int, ...]:
    """Return the filters of chunks, of which compression and byte shuffling are supported."""
    version, count = data[:2]
    at = 8 if version == 1 else 2
    filters = []
    for _ in range(count):
        kind, *sizes = struct.unpack_from("<HHHH", data, at)
        if version not in (1, 2) or kind not in (DEFLATE, SHUFFLE):
            raise unusual(f"the filter {kind}")
        if version == 1:
            name, values = sizes[0], sizes[2]
            at += 8 + (name + 7) // 8 * 8 + 4 * (values + values % 2)
        else:  # without the length of the name, which these filters do not need
            at += 6 + 4 * sizes[1]
        filters.append(kind)
    return tuple(filters)


def decode_attribute(data: bytes) -> tuple[str, bytes, bytes, bytes]:
    """Return the name of an attribute, its datatype and dataspace messages, and its content."""
    version, flags = data[:2]
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        raise unusual("an attribute whose type is stored elsewhere")
    start = 9 if version == 3 else 8
    parts = []
    for size in struct.unpack_from("<HHH", data, 2):
        parts.append(data[start : start + size])
        start += (size + 7) // 8 * 8 if version == 1 else size
    name, dtype, space = parts
    return name.split(b"\0")[0].decode(), dtype, space, data[start:]
