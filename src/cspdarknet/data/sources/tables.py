"""Data frames of pandas and Polars, and Parquet files."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet._labels import SINGLE
from cspdarknet.data.formats.merging import split_of
from cspdarknet.data.sources.rows import find_columns, row_items
from cspdarknet.data.sources.samples import Samples

ROWS_AT_ONCE = 64
# Errors of PyArrow, and of metadata that are not those of Hugging Face.
DAMAGED = (OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError)


def is_frame(source: Any) -> bool:
    """Whether a source is a data frame, recognized without importing its package."""
    packages = {cls.__module__.split(".")[0] for cls in type(source).__mro__}
    is_of_package = bool({"pandas", "polars"} & packages)
    return is_of_package and type(source).__name__ in ("DataFrame", "LazyFrame")


def frame_samples(frames: Mapping[str, Any], task: str | None, labels: str = SINGLE) -> Samples:
    """Return the images that data frames name.

    Args:
        frames: a frame for each split.
        task: `"classification"` or `"detection"`; `None` for either.
        labels: `"multi"` for images of any number of classes.

    Raises:
        ValueError: if there are no columns of images and classes.
    """
    frames = {split: collected(frame) for split, frame in frames.items()}
    first = next(iter(frames.values()))
    columns = find_columns(dict.fromkeys(first.columns), task, "data frame", labels)
    for frame in frames.values():
        others = find_columns(dict.fromkeys(frame.columns), task, "data frame", labels)
        different = {*columns.names} ^ {*others.names}
        if different := different - {columns.split, others.split}:
            raise ValueError(
                "The data frames of all splits must have the same columns. Received: "
                f"{', '.join(sorted(map(str, different)))}, which not all of them have."
            )

    def items() -> Iterator[Any]:
        for split, frame in frames.items():
            rows = frame_rows(frame, columns.names)
            yield from row_items(rows, columns, split, "data frame")

    return Samples(items(), columns.class_names, f"data frame: {columns.description}")


def collected(frame: Any) -> Any:
    """Return a data frame, also for a lazy one.

    Raises:
        ValueError: if columns have the same name.
    """
    frame = frame.collect() if hasattr(frame, "collect") else frame
    if repeated := [name for name, count in Counter(frame.columns).items() if count > 1]:
        raise ValueError(f"A data frame has several columns named {repeated[0]!r}: rename them.")
    return frame


def frame_rows(frame: Any, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data frame, with those of the named columns that it has."""
    names = [name for name in names if name in frame.columns]
    values = [
        frame[name].to_list() if hasattr(frame[name], "to_list") else list(frame[name])
        for name in names
    ]
    for row in zip(*values, strict=True):
        yield dict(zip(names, row, strict=True))


def parquet_samples(path: Path, task: str | None, labels: str = SINGLE) -> Samples:
    """Return the images in a Parquet file, in the form of Hugging Face or as a table of paths.

    Args:
        path: the file. Paths in it are relative to its folder.
        task: `"classification"` or `"detection"`; `None` for either.
        labels: `"multi"` for images of any number of classes.

    Raises:
        ValueError: if it is not such a file.
        ImportError: if PyArrow is not installed.
    """
    features, rows = open_parquet(path)
    columns = find_columns(features, task, "Parquet file", labels)
    split = split_of(path.name) or "train"
    items = row_items(rows(columns.names), columns, split, str(path))
    return Samples(items, columns.class_names, f"Parquet file: {columns.description}")


def open_parquet(
    path: Path,
) -> tuple[dict[str, Any], Callable[[Iterable[str]], Iterator[dict[str, Any]]]]:
    """Return the features of the columns of a Parquet file, and a function that yields its rows.

    Args:
        path: the file.

    Raises:
        ValueError: if it is not such a file.
        ImportError: if PyArrow is not installed.
    """
    parquet: Any = require("pyarrow.parquet", "parquet", "Reading a Parquet file")
    try:
        file = parquet.ParquetFile(path)
        features = _features(file.schema_arrow)
    except DAMAGED as error:
        raise ValueError(f"{path} is not a Parquet file, or is damaged: {error}") from error

    def rows(names: Iterable[str]) -> Iterator[dict[str, Any]]:
        chosen = set(names)
        wanted = [name for name in features if name in chosen]
        try:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
                yield from batch.to_pylist()
        except DAMAGED as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    return features, rows


def _features(schema: Any) -> dict[str, Any]:
    """Return the columns of a Parquet file, with the features that Hugging Face writes into it."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    described = json.loads(metadata)["info"]["features"] if metadata else {}
    return {name: described.get(name) for name in schema.names}
