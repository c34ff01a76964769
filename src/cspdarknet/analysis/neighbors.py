"""`search`: the most similar images of given ones, by the cosine of their vectors."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice, check_count
from cspdarknet.analysis.embeddings import Embeddings, check_not_empty

METHODS = ("auto", "exact", "index")
MAX_EXACT = 1_000_000  # vectors that are compared one by one
BLOCK = 16_384  # rows that are multiplied at once
MAX_SIMILARITIES = 2**24  # in memory at once


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The images that are most similar to a query.

    Attributes:
        query: key of the query; its number if it is a vector.
        keys: keys of the neighbors, the most similar one first.
        similarities: float64 array, the cosine of each neighbor's vector and that of the query.
        rows: int64 array, the rows of the neighbors in the embeddings.
    """

    query: str
    keys: tuple[str, ...]
    similarities: np.ndarray
    rows: np.ndarray


def search(
    embeddings: Embeddings,
    query: "Embeddings | np.ndarray | str | Sequence[str]",
    top: int = 10,
    method: str = "auto",
    index_file: str | Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Neighbors]:
    """Find the most similar images of each query.

    Cosines are compared in float32 with room for its rounding, and those of the best candidates are
    computed in float64. Images of the same similarity are in the order of their keys.

    Args:
        embeddings: the images to search.
        query: `Embeddings` of other images with the same settings; a vector, or an array of
            vectors `(queries, features)`; or keys of `embeddings`, whose own image is left out.
        top: number of neighbors.
        method: `"exact"`; `"index"` for an approximate index of usearch, which is built once and
            asked in milliseconds; or `"auto"`: exact up to a million vectors.
        index_file: file for that index, which is read if it is of these vectors; `None` to build
            it anew.
        progress: called with a number of vectors after these have been added to a new index.

    Returns:
        `Neighbors` for each query, in order.

    Raises:
        ValueError: if a key is unknown, or the queries are vectors of another length or settings.

    Example:
        >>> images = Embeddings(np.eye(3, 4) + 0.1, ["a.jpg", "b.jpg", "c.jpg"])
        >>> (neighbors,) = search(images, np.array([0.0, 1.0, 0.5, 0.0]), top=2)
        >>> neighbors.keys, neighbors.similarities.round(2)
        (('b.jpg', 'c.jpg'), array([0.92, 0.52]))
        >>> search(images, "a.jpg", top=1)[0].keys
        ('b.jpg',)
    """
    check_count("top", top)
    check_choice("method", method, METHODS)
    check_not_empty(embeddings)
    names, vectors, own = _queries(embeddings, query)
    if method == "index" or (method == "auto" and len(embeddings) > MAX_EXACT):
        from cspdarknet.analysis.vector_index import index_candidates

        found = index_candidates(embeddings.vectors, vectors, top + 1, index_file, progress)
    else:
        found = exact_candidates(embeddings.vectors, vectors, top + 1)
    results = []
    for name, vector, row, candidates in zip(names, vectors, own, found, strict=True):
        candidates = candidates[candidates != row]
        results.append(_best(embeddings, name, vector, candidates, top))
    return results


def _best(
    embeddings: Embeddings, name: str, vector: np.ndarray, candidates: np.ndarray, top: int
) -> Neighbors:
    """Return the best of the candidates for a query; keys decide between equals."""
    keys = embeddings.keys
    similarities = cosines(embeddings.vectors[candidates], vector)
    pairs = zip((-similarities).tolist(), candidates.tolist(), strict=True)
    best = sorted(pairs, key=lambda pair: (pair[0], keys[pair[1]]))[:top]
    rows = np.array([row for _, row in best], "int64")
    found = -np.array([negative for negative, _ in best], "float64")
    return Neighbors(name, tuple(keys[row] for row in rows), found, rows)


def _queries(embeddings: Embeddings, query: Any) -> tuple[Sequence[str], np.ndarray, Sequence[int]]:
    """Return the names and vectors of queries, and the row that each is itself, -1 for none."""
    if isinstance(query, Embeddings):
        if differences := embeddings.settings.differences(query.settings):
            raise ValueError(
                "Vectors can be compared only with those of the same model and settings. Received: "
                f"{'; '.join(differences)}: embed the queries with the settings of the others."
            )
        vectors, names = query.vectors, query.keys
    elif isinstance(query, np.ndarray) and query.dtype.kind in "fiu":
        vectors = np.atleast_2d(query).astype("float32")
        names = [str(i) for i in range(len(vectors))]
    else:
        names = [str(query)] if isinstance(query, (str, Path)) else list(map(str, query))
        if unknown := [key for key in names if key not in embeddings.rows]:
            raise ValueError(
                f"A key must be one of the embeddings. Received: {unknown[0]!r}, while the first "
                f"of {len(embeddings)} keys is {embeddings.keys[0]!r}."
            )
        rows = [embeddings.rows[key] for key in names]
        return names, embeddings.vectors[rows], rows
    if vectors.ndim != 2 or vectors.shape[1] != embeddings.vectors.shape[1]:
        raise ValueError(
            f"A query must be a vector of {embeddings.vectors.shape[1]} numbers. Received: the "
            f"shape {np.shape(query if isinstance(query, np.ndarray) else vectors)}"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("A query must be a vector of finite numbers. Received: NaN or infinity")
    return names, vectors, [-1] * len(names)


def exact_candidates(vectors: np.ndarray, queries: np.ndarray, top: int) -> Iterator[np.ndarray]:
    """Yield for each query the rows of which the `top` best are certainly part."""
    top = min(top, len(vectors))
    # The rounding of a cosine in float32 changes it by at most half of this.
    room = 2 * (vectors.shape[1] + 4) * float(np.finfo("float32").eps)
    count = max(1, MAX_SIMILARITIES // len(vectors))
    for first in range(0, len(queries), count):
        group = unit_rows(queries[first : first + count])
        similarities = np.empty((len(group), len(vectors)), "float32")
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK]
            similarities[:, start : start + BLOCK] = group @ block.T / _lengths(block).T
        for row in similarities:
            least = np.partition(row, len(row) - top)[len(row) - top]
            yield np.flatnonzero(row >= least - room)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return rows divided by their lengths, in float32; rows of zeros stay."""
    return vectors / _lengths(vectors)


def _lengths(rows: np.ndarray) -> np.ndarray:
    """Return the length of each row as a column, 1 for rows of zeros."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype="float64")
    return np.sqrt(np.where(squares > 0, squares, 1)).astype("float32")[:, None]


def cosines(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the cosine of each row and a vector, in float64; that of a vector of zeros is 0.

    Equal rows have equal results, unlike those of a matrix product.
    """
    query = query.astype("float64")
    query /= np.sqrt((query * query).sum()) or 1.0
    result = np.empty(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        rows = vectors[start : start + BLOCK].astype("float64")
        lengths = np.sqrt((rows * rows).sum(axis=1))
        products = (rows * query).sum(axis=1)
        result[start : start + BLOCK] = products / np.where(lengths > 0, lengths, 1)
    return result
