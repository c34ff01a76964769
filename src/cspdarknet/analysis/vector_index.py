"""An approximate index of vectors by usearch, for more vectors than are compared one by one."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet._files import write_text, write_whole

METRIC = "cos"
ADDED_AT_ONCE = 8192  # vectors
MORE = 4  # candidates for each neighbor that is asked for
STAMP = ".json"  # behind the name of an index: the file that says of which vectors it is


def index_candidates(
    vectors: np.ndarray,
    queries: np.ndarray,
    top: int,
    file: str | Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> Iterator[np.ndarray]:
    """Yield for each query the rows that an index finds, of which most of the best are part.

    Args:
        vectors: the vectors, float32 array `(n, features)`.
        queries: float32 array `(queries, features)`.
        top: number of neighbors.
        file: file of the index, which is read if it is of these vectors, and written if not.
        progress: called with a number of vectors after these have been added to a new index.

    Raises:
        ImportError: if usearch is not installed.
    """
    index = _index(vectors, None if file is None else Path(file), progress)
    count = min(len(vectors), MORE * top)
    for query in queries:
        yield np.sort(np.asarray(index.search(query, count).keys).astype("int64"))


def _index(vectors: np.ndarray, file: Path | None, progress: Callable[[int], object] | None) -> Any:
    module: Any = require("usearch.index", "search", "An index of vectors")
    index = module.Index(ndim=vectors.shape[1], metric=METRIC, dtype="f32")
    stamp = {"sha256": hashlib.sha256(vectors.data).hexdigest(), "metric": METRIC}
    if file is not None and _is_of(file, stamp):
        with contextlib.suppress(Exception):  # a damaged file: the index is built anew
            index.load(str(file))
            if len(index) == len(vectors):
                return index
            index = module.Index(ndim=vectors.shape[1], metric=METRIC, dtype="f32")
    for start in range(0, len(vectors), ADDED_AT_ONCE):
        part = vectors[start : start + ADDED_AT_ONCE]
        index.add(np.arange(start, start + len(part), dtype="uint64"), part)
        if progress:
            progress(len(part))
    if file is not None:
        write_whole(file, lambda part: index.save(str(part)))
        write_text(_stamp_file(file), json.dumps(stamp) + "\n")
    return index


def _is_of(file: Path, stamp: dict[str, str]) -> bool:
    """Whether there is an index, of the vectors with this stamp."""
    with contextlib.suppress(OSError, ValueError):
        return file.is_file() and json.loads(_stamp_file(file).read_text()) == stamp
    return False


def _stamp_file(file: Path) -> Path:
    return file.with_name(file.name + STAMP)
