"""Images with numbers in memory, for image regression."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import is_number
from cspdarknet.data.annotations import Annotations, NumberedImage
from cspdarknet.data.formats.csv_table import PATH_COLUMNS, SPLIT_COLUMNS, column
from cspdarknet.data.problems import Problem
from cspdarknet.data.sources.hugging_face import is_dataset
from cspdarknet.data.sources.image_store import ImageStore
from cspdarknet.data.sources.rows import is_missing
from cspdarknet.data.sources.samples import as_array
from cspdarknet.data.sources.tables import is_frame
from cspdarknet.data.splits import split_name
from cspdarknet.images import ImageError

TARGET = "target"  # name of a number that has none
RULE = (
    "The target of an image must be a number, a list of numbers, or a dict of numbers by name, as "
    'in (image, {"age": 4.5}).'
)
Item = tuple[str, Any, dict[str, Any]]


def read_numbers(splits: Mapping[str, Any], store: ImageStore) -> Annotations[NumberedImage]:
    """Read images with numbers.

    Args:
        splits: a sequence of `(image, numbers)` or a data frame for each split.
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
        kind = Path(type(source).__name__)
        for index, (own_split, image, numbers) in enumerate(_items(source, split)):
            where = f"item {index}"
            try:
                path = store.path(image, own_split, index)
            except ImageError as error:
                problems.append(Problem("unreadable image", kind, str(error), where))
                continue
            values = {name: "" if is_missing(x) else str(x) for name, x in numbers.items()}
            names |= dict.fromkeys(name for name, x in numbers.items() if is_number(x))
            found.setdefault(own_split, []).append(NumberedImage(path, values, kind, where))
    what = f"{type(next(iter(splits.values()))).__name__} of images and numbers"
    return Annotations(found, tuple(names), problems, format=what, task="regression")


def _items(source: Any, split: str) -> Iterator[Item]:
    if is_frame(source):
        yield from _rows(source, split)
        return
    is_sequence = isinstance(source, Iterable) or hasattr(source, "__getitem__")
    is_path = isinstance(source, (str, Path))
    if is_path or isinstance(source, (bytes, Mapping)) or is_dataset(source) or not is_sequence:
        raise ValueError(
            "A dataset for regression must be a CSV file or a folder with one, a sequence of "
            "(image, number), a data frame of pandas or Polars, or a dict of these by split. "
            f"Received: {source if is_path else type(source).__name__}: read other data into a "
            "data frame first."
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


def _rows(frame: Any, split: str) -> Iterator[Item]:
    """Yield the rows of a data frame, without its columns of texts."""
    frame = frame.collect() if hasattr(frame, "collect") else frame
    names = [name for name in frame.columns if isinstance(name, str)]
    path, splits = column(names, PATH_COLUMNS), column(names, SPLIT_COLUMNS)
    if path is None:
        raise ValueError(
            f"A data frame must have a column of images, named {', '.join(PATH_COLUMNS[:3])}, ... "
            f"Received the columns: {', '.join(names)}. Rename one of them."
        )
    values = [list(frame[name]) for name in names]
    for row in zip(*values, strict=True):
        cells = dict(zip(names, row, strict=True))
        image, text = cells.pop(path), cells.pop(splits) if splits else None
        own_split = split if text is None or is_missing(text) else split_name(str(text), exact=True)
        if own_split is None:
            raise ValueError(f"The split of an image must be train, validation or test: {text!r}")
        yield own_split, image, cells


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
    """Return a number of an array or tensor as a number of Python."""
    return value.item() if hasattr(value, "item") else value
