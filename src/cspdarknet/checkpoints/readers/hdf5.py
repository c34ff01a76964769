"""Reading of untrusted HDF5 weight files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError

MAX_OBJECTS = 100_000


class HDF5File:
    """An open HDF5 file of arrays; errors of HDF5 are raised as `CheckpointError`.

    Args:
        path: the file, also named in error messages.
        stream: content to read in place of the file, for an HDF5 file inside an archive.

    Attributes:
        shapes: shape of each dataset by its path.

    Raises:
        CheckpointError: if the file is damaged, or has content that a plain weight file never has.
    """

    def __init__(self, path: Path, stream: BinaryIO | None = None) -> None:
        self.path = path
        with self._damage_reported():
            self._file = h5py.File(path if stream is None else stream, "r")
        try:
            with self._damage_reported():
                self._datasets = datasets(self._file, str(path))
                self.shapes = {name: item.shape for name, item in self._datasets.items()}
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> np.ndarray:
        """Return a dataset of numbers as float32, or as float64 if it is stored so."""
        with self._damage_reported():
            return read_dataset(self._datasets[name], f"{self.path}: {name!r}")

    def names(self, attribute: str, group: str = "/") -> list[str] | None:
        """Return an attribute that lists names; `None` if the group has no such attribute."""
        with self._damage_reported():
            names = self._file[group].attrs.get(attribute)
            if names is None:
                return None
            return [name.decode() if isinstance(name, bytes) else str(name) for name in names]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        try:
            yield
        except CheckpointError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
            raise CheckpointError(
                f"{self.path} is not a readable HDF5 file, or damaged: {error}"
            ) from error


def datasets(file: h5py.File, origin: str) -> dict[str, h5py.Dataset]:
    """Return all datasets by path, in files without links and external or virtual storage.

    The search uses h5py's low-level calls: with one object for each of the many small datasets it
    would take as long as reading the data.

    Args:
        file: the open file.
        origin: name of the file, for error messages.

    Raises:
        CheckpointError: if there is a soft, external or cyclic link, or data outside the file.
    """
    result: dict[str, h5py.Dataset] = {}
    groups = [("", file.id)]
    seen: set[tuple[int, int]] = set()
    while groups:
        prefix, group = groups.pop()
        for key in group:
            path = f"{prefix}/{key.decode()}" if prefix else key.decode()
            if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                raise CheckpointError(f"{origin} has a link at {path!r}: refused.")
            item = h5py.h5o.open(group, key)
            address = h5py.h5o.get_info(item)
            identity = (address.fileno, address.addr)
            if identity in seen or len(seen) > MAX_OBJECTS:
                raise CheckpointError(f"{origin} repeats or nests too much at {path!r}: refused.")
            seen.add(identity)
            if isinstance(item, h5py.h5g.GroupID):
                groups.append((path, item))
            elif _is_stored_inside(item):
                result[path] = h5py.Dataset(item)
            else:
                raise CheckpointError(f"{origin} stores {path!r} outside the file: refused.")
    return result


def _is_stored_inside(item: Any) -> bool:
    if not isinstance(item, h5py.h5d.DatasetID):
        return False
    properties = item.get_create_plist()
    virtual = properties.get_layout() == h5py.h5d.VIRTUAL
    return not virtual and properties.get_external_count() == 0


def read_dataset(dataset: h5py.Dataset, origin: str) -> np.ndarray:
    """Return a dataset of numbers as float32, or as float64 if it is stored so.

    Raises:
        CheckpointError: if it does not hold real numbers.
    """
    dtype = dataset.dtype
    if dtype.str == "|V2" and dataset.attrs.get("dtype") == "bfloat16":
        # HDF5 has no such type: Keras stores the two bytes, the upper half of a float32.
        return (dataset[()].view("<u2").astype("<u4") << 16).view("<f4")
    if dtype.kind not in "fiu":
        raise CheckpointError(f"{origin} holds {dtype}, not numbers.")
    array = dataset[()]
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
