"""Read HDF5 weight files without trusting them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError

MAX_OBJECTS = 100_000


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open `path` for reading; whatever HDF5 finds wrong with it is a `CheckpointError`."""
    if not path.is_file():
        raise CheckpointError(f"There is no weight file {path}.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except CheckpointError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise CheckpointError(f"{path} is not a readable HDF5 file, or damaged: {error}") from error


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return all datasets by path, refusing what a plain weight file never holds.

    Soft, external and cyclic links, and external or virtual storage are refused. The walk uses
    h5py's low-level calls, since the many small objects would take as long as the data.
    """
    found: dict[str, h5py.Dataset] = {}
    groups = [("", file.id)]
    seen: set[tuple[int, int]] = set()
    while groups:
        prefix, group = groups.pop()
        for key in group:
            path = f"{prefix}/{key.decode()}" if prefix else key.decode()
            if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                raise CheckpointError(f"{file.filename} has a link at {path!r}: refused.")
            item = h5py.h5o.open(group, key)
            address = h5py.h5o.get_info(item)
            identity = (address.fileno, address.addr)
            if identity in seen or len(seen) > MAX_OBJECTS:
                raise CheckpointError(f"{file.filename} repeats or nests too much at {path!r}.")
            seen.add(identity)
            if isinstance(item, h5py.h5g.GroupID):
                groups.append((path, item))
            else:
                found[path] = _checked(file, path, item)
    return found


def _checked(file: h5py.File, path: str, item: Any) -> h5py.Dataset:
    inside = isinstance(item, h5py.h5d.DatasetID)
    if inside:
        properties = item.get_create_plist()
        virtual = properties.get_layout() == h5py.h5d.VIRTUAL
        inside = not virtual and properties.get_external_count() == 0
    if not inside:
        raise CheckpointError(f"{file.filename} stores {path!r} outside the file: refused.")
    return h5py.Dataset(item)


def read(file: h5py.File, path: str, dataset: h5py.Dataset) -> np.ndarray:
    """Read one dataset of numbers as float32 (float64 is kept)."""
    dtype = dataset.dtype
    if dtype.str == "|V2" and dataset.attrs.get("dtype") == "bfloat16":
        # HDF5 has no such type: Keras stores the two bytes, the upper half of a float32.
        return (dataset[()].view("<u2").astype("<u4") << 16).view("<f4")
    if dtype.kind not in "fiu":
        raise CheckpointError(f"{file.filename}: {path!r} holds {dtype}, not numbers.")
    array = dataset[()]
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
