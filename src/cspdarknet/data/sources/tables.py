"""Data frames of pandas and Polars, and Parquet files."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
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


def frame_samples(frames: Mapping[str, Any], task: str | None) -> Samples:
    """Return the images that data frames name.

    Args:
        frames: a frame for each split.
        task: `"classification"` or `"detection"`; `None` for either.

    Raises:
        ValueError: if there are no columns of images and classes.
    """
    frames = {split: f.collect() if hasattr(f, "collect") else f for split, f in frames.items()}
    columns = find_columns(dict.fromkeys(next(iter(frames.values())).columns), task, "data frame")

    def items() -> Iterator[Any]:
        for split, frame in frames.items():
            names = [name for name in frame.columns if name in columns]
            values = [
                frame[name].to_list() if hasattr(frame[name], "to_list") else list(frame[name])
                for name in names
            ]
            rows = (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))
            yield from row_items(rows, columns, split, "data frame")

    found = f"columns {columns.image} and {columns.target}"
    return Samples(items(), columns.class_names, f"data frame: {found}")


def parquet_samples(path: Path, task: str | None) -> Samples:
    """Return the images in a Parquet file, in the form of Hugging Face or as a table of paths.

    Args:
        path: the file. Paths in it are relative to its folder.
        task: `"classification"` or `"detection"`; `None` for either.

    Raises:
        ValueError: if it is not such a file.
        ImportError: if PyArrow is not installed.
    """
    parquet: Any = require("pyarrow.parquet", "parquet", "Reading a Parquet file")
    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
        features = _features(schema)
    except DAMAGED as error:
        raise ValueError(f"{path} is not a Parquet file, or is damaged: {error}") from error
    columns = find_columns(features, task, "Parquet file")
    wanted = [name for name in features if name in columns]

    def rows() -> Iterator[dict[str, Any]]:
        try:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
                yield from batch.to_pylist()
        except DAMAGED as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    split = split_of(path.name) or "train"
    items = row_items(rows(), columns, split, str(path))
    found = f"columns {columns.image} and {columns.target}"
    return Samples(items, columns.class_names, f"Parquet file: {found}")


def _features(schema: Any) -> dict[str, Any]:
    """Return the columns of a Parquet file, with the features that Hugging Face writes into it."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    described = json.loads(metadata)["info"]["features"] if metadata else {}
    return {name: described.get(name) for name in schema.names}
