"""Images with numbers in memory, for image regression."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import is_number
from cspdarknet.data.annotations import Annotations, NumberedImage
from cspdarknet.data.formats.csv_table import (
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    column,
    may_be_measured,
    value_columns,
)
from cspdarknet.data.problems import Problem
from cspdarknet.data.sources.hugging_face import dataset_features, dataset_rows, is_dataset
from cspdarknet.data.sources.image_store import ImageStore
from cspdarknet.data.sources.rows import image_column, is_missing, split_of_row
from cspdarknet.data.sources.samples import as_array
from cspdarknet.data.sources.tables import collected, frame_rows, is_frame, open_parquet
from cspdarknet.images import ImageError

TARGET = "target"  # name of a number that has none
RULE = (
    "The target of an image must be a number, a list of numbers, or a dict of numbers by name, as "
    'in (image, {"age": 4.5}).'
)
Item = tuple[str, Any, dict[str, Any]]
Rows = Callable[[Iterable[str]], Iterator[Mapping[str, Any]]]


def read_numbers(splits: Mapping[str, Any], store: ImageStore) -> Annotations[NumberedImage]:
    """Read images with numbers.

    Args:
        splits: a sequence of `(image, numbers)`, a data frame, a dataset of Hugging Face or the
            path of a Parquet file for each split.
        store: writes images that are not files.

    Returns:
        `Annotations`, whose `class_names` are the names of the numbers.

    Raises:
        ValueError: if it is something else, or a target is malformed.

    Example:
        >>> pairs = [("tom.png", {"age": 3}), (np.zeros((8, 8, 3), "uint8"), {"age": 4.5})]
        >>> annotations = read_numbers({"train": pairs}, ImageStore())
        >>> annotations.class_names, annotations.splits["train"][1].values
        (('age',), {'age': '4.5'})
    """
    found: dict[str, list[NumberedImage]] = {}
    problems, names = [], dict[str, None]()
    for split, source in splits.items():
        kind = source if isinstance(source, Path) else Path(type(source).__name__)
        for index, (own_split, image, numbers) in enumerate(_items(source, split)):
            where = f"item {index}"
            try:
                path = store.path(image, own_split, index)
            except ImageError as error:
                problems.append(Problem("unreadable image", kind, str(error), where))
                continue
            values = {name: "" if is_missing(x) else str(x) for name, x in numbers.items()}
            names |= dict.fromkeys(
                name for name, x in numbers.items() if is_number(x) and may_be_measured(name)
            )
            found.setdefault(own_split, []).append(NumberedImage(path, values, kind, where))
    first = next(iter(splits.values()))
    of = "Parquet file" if isinstance(first, Path) else type(first).__name__
    what = f"{of} of images and numbers"
    return Annotations(found, tuple(names), problems, format=what, task="regression")


def _items(source: Any, split: str) -> Iterator[Item]:
    table = _opened_table(source)
    return _pairs(source, split) if table is None else _of_rows(*table, split)


def _opened_table(source: Any) -> tuple[str, Mapping[str, Any], Rows] | None:
    """Return what a table is, its columns, and the function that yields rows of some of them.

    Returns:
        `None` if it is no table.
    """
    if isinstance(source, Path) and source.suffix.lower() == ".parquet" and source.is_file():
        return "Parquet file", *open_parquet(source)
    if is_frame(source):
        frame = collected(source)
        return "data frame", dict.fromkeys(frame.columns), partial(frame_rows, frame)
    if is_dataset(source):
        features = dataset_features(source)
        rows = partial(dataset_rows, source, image_column(features) or "")
        return "Hugging Face dataset", features, rows
    return None


def _of_rows(kind: str, features: Mapping[str, Any], rows: Rows, split: str) -> Iterator[Item]:
    """Yield the rows of a table."""
    names = [name for name in features if isinstance(name, str)]
    image, splits = image_column(features), column(names, SPLIT_COLUMNS)
    if image is None:
        raise ValueError(
            f"A {kind} must have a column of images, named {', '.join(PATH_COLUMNS[:3])}, ... "
            f"Received the columns: {', '.join(names)}. Rename one of them."
        )
    kept = [name for name in value_columns(names) if name != image]
    for i, row in enumerate(rows(names)):
        try:
            own_split = split_of_row(row, splits, split)
        except ValueError as error:
            raise ValueError(f"{kind}, row {i}: {error}") from error
        yield own_split, row[image], {name: _plain(row[name]) for name in kept}


def _pairs(source: Any, split: str) -> Iterator[Item]:
    """Yield the pairs of a sequence."""
    is_sequence = isinstance(source, Iterable) or hasattr(source, "__getitem__")
    is_path = isinstance(source, (str, Path))
    if is_path or isinstance(source, (bytes, Mapping)) or not is_sequence:
        raise ValueError(
            "A dataset for regression must be a CSV file or a folder with one, a Parquet file, a "
            "dataset of Hugging Face, a sequence of (image, number), a data frame of pandas or "
            f"Polars, or a dict of these by split. Received: "
            f"{source if is_path else type(source).__name__}"
        )
    for index, item in enumerate(source):
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise ValueError(
                f"Item {index} of the {split} split must be a pair (image, number). Received: "
                f"{type(item).__name__}"
            )
        try:
            yield split, item[0], _numbers(item[1])
        except ValueError as error:
            raise ValueError(f"Item {index} of the {split} split: {error}") from error


def _numbers(target: Any) -> dict[str, Any]:
    """Return the numbers of a target by name."""
    if isinstance(target, Mapping):
        return {str(name): _plain(value) for name, value in target.items()}
    values = np.array("") if isinstance(target, (str, bytes)) else as_array(target)
    if values.dtype.kind not in "iuf" or values.ndim > 1:
        raise ValueError(f"{RULE} Received: {target!r:.80}")
    numbers = values.reshape(-1).tolist()
    if not numbers:
        raise ValueError(f"{RULE} Received: no number")
    if len(numbers) == 1:
        return {TARGET: numbers[0]}
    return {f"{TARGET} {i}": number for i, number in enumerate(numbers)}


def _plain(value: Any) -> Any:
    """Return a number of an array, a tensor or a table of decimals as a number of Python."""
    if isinstance(value, Decimal):
        return float(value)
    return value.item() if hasattr(value, "item") else value
