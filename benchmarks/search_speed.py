"""What does the search among many vectors take, exact and by an index, and what does it miss?

The vectors are points around random centers; each query is one of them. The first search builds an
index and writes it, later ones read it. Recall is the fraction of the exact search's neighbors that
a search finds.

    python benchmarks/search_speed.py
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.results import Row, write_results

from cspdarknet.analysis import Embeddings, search

CENTERS = 2000
TOP = 10


def points(count: int, features: int) -> np.ndarray:
    """Return vectors of length 1 around random centers."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CENTERS, features)).astype("float32")
    vectors = centers[rng.integers(0, CENTERS, count)]
    vectors += rng.normal(size=vectors.shape).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors)


def timed(embeddings: Embeddings, query: Any, method: str, file: Path) -> tuple[float, Any]:
    """Return the seconds of a search, and its results."""
    start = time.perf_counter()
    found = search(embeddings, query, TOP, method, file)
    return time.perf_counter() - start, found


def rows_of(embeddings: Embeddings, queries: list[str], folder: Path) -> list[Row]:
    """Return a row for each method."""
    file = folder / "vectors.index"
    exact_seconds, exact = timed(embeddings, queries, "exact", file)
    first, _ = timed(embeddings, queries[:1], "auto", file)
    again, _ = timed(embeddings, queries[:1], "auto", file)
    seconds, found = timed(embeddings, queries, "auto", file)
    hits = sum(len({*a.keys} & {*b.keys}) for a, b in zip(exact, found, strict=True))
    return [
        _row("exact", 1.0, exact_seconds / len(queries)),
        _row(
            "auto",
            hits / (TOP * len(queries)),
            (seconds - again) / (len(queries) - 1),
            round(first, 1),
            round(again, 1),
        ),
    ]


def _row(
    method: str, recall: float, seconds: float, first: float | str = "", again: float | str = ""
) -> Row:
    return {
        "method": method,
        "recall": round(recall, 4),
        "a query, ms": round(1000 * seconds, 2),
        "building the index, s": first,
        "reading the index, s": again,
    }


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--vectors", type=int, default=1_100_000)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    vectors = points(options.vectors, options.features)
    embeddings = Embeddings(vectors, [f"{i:08}.jpg" for i in range(options.vectors)])
    step = options.vectors // options.queries
    queries = list(embeddings.keys[:: step or 1])[: options.queries]
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(embeddings, queries, Path(folder))
    for row in rows:
        print(row)
    text = (
        f"# Search\n\n{options.vectors:,} vectors of {options.features} numbers, the {TOP} nearest "
        f"of {options.queries} of them; `auto` is an index beyond a million vectors."
    )
    write_results(options.out, "search_speed", text, rows)


if __name__ == "__main__":
    main()
