"""Chunked and compressed arrays of HDF5 files, read without the C library."""

import math
import struct
import zlib
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers.hdf5_messages import DEFLATE, UNDEFINED, Dataset
from cspdarknet.checkpoints.readers.hdf5_structure import Blocks, tree_entries

OVERHANG = 16  # chunks may reach beyond their array: in each of four dimensions by almost a half
SPARE_BYTES = 1 << 16


def read_chunks(blocks: Blocks, dataset: Dataset, dtype: np.dtype[Any]) -> np.ndarray:
    """Return a chunked array.

    Args:
        blocks: the file.
        dataset: the array, whose `chunk` is a shape.
        dtype: type of its elements.

    Raises:
        CheckpointError: if it lacks a chunk, or has more of them than the array takes.
    """
    assert dataset.chunk is not None
    array = np.empty(dataset.shape, dtype)
    rank, chunk_bytes = len(dataset.shape), math.prod(dataset.chunk) * dtype.itemsize
    left, filled = OVERHANG * array.nbytes + SPARE_BYTES, 0
    entries = (
        []
        if dataset.address == UNDEFINED
        else tree_entries(blocks, dataset.address, kind=1, key_size=8 * (rank + 2))
    )
    for key, address in entries:
        size, mask, *starts = struct.unpack(f"<II{rank + 1}Q", key)
        left -= chunk_bytes
        if left < 0:
            raise CheckpointError("it has more chunks than its array takes.")
        data = _unfiltered(blocks.read(address, size), dataset, mask, chunk_bytes)
        ends = [start + n for start, n in zip(starts, dataset.chunk, strict=False)]
        target = array[tuple(map(slice, starts[:rank], ends))]
        chunk = np.frombuffer(data, dtype).reshape(dataset.chunk)
        target[...] = chunk[tuple(map(slice, target.shape))]
        filled += target.size
    if filled != array.size:
        raise CheckpointError("it lacks chunks of an array.")
    return array


def _unfiltered(data: bytes, dataset: Dataset, mask: int, size: int) -> bytes:
    """Return the content of a chunk before its filters, which must have this size."""
    for i, kind in reversed(list(enumerate(dataset.filters))):
        if mask & 1 << i:  # the filter was left out for this chunk
            continue
        if kind == DEFLATE:
            data = zlib.decompressobj().decompress(data, size + 1)
        else:  # shuffled: first the first bytes of all elements, then the second ones
            data = np.frombuffer(data, np.uint8).reshape(dataset.dtype.size, -1).T.tobytes()
    if len(data) != size:
        raise CheckpointError("it has a chunk of another size than it states.")
    return data
