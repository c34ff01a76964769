"""Images and targets of a dataset in memory, and what their targets may be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cspdarknet._arguments import is_integer

BOX_KEYS = ("bbox", "bboxes", "boxes")
CLASS_KEYS = ("category", "category_id", "categories", "label", "labels")
LABEL_RULE = "A label must be a whole number or a name."


@dataclass(frozen=True)
class Objects:
    """The boxes of an image.

    Attributes:
        boxes: left, top, right and bottom of each box, in pixels.
        labels: class id or name of each box.
        ignored: whether each box is ignored.
    """

    boxes: list[tuple[float, float, float, float]]
    labels: list[int | str]
    ignored: list[bool] = field(default_factory=list)


# A class id or name, several of them, boxes, or nothing where an image has no annotation.
Target = int | str | tuple[int | str, ...] | Objects | None


@dataclass(frozen=True)
class Samples:
    """The images of a dataset, with their targets.

    Attributes:
        items: yields split, image and target. An image is a path, the bytes of a file, a dict of
            these, a Pillow image or an array.
        class_names: the names of the classes by id; empty if none are known.
        kind: what the dataset is, and what was recognized.
    """

    items: Iterator[tuple[str, Any, Target]]
    class_names: Mapping[int, str]
    kind: str


def parse_target(target: Any) -> Target:
    """Return the target of an item: classes, or boxes in the form of torchvision or of COCO.

    Raises:
        ValueError: if it is something else.
    """
    if target is None:
        return None
    if isinstance(target, Mapping):
        return parse_objects(target, "boxes" in target)
    if isinstance(target, (list, tuple)) and all(isinstance(item, Mapping) for item in target):
        return parse_objects(target, False)
    return parse_classes(target)


def parse_classes(value: Any) -> int | str | tuple[int | str, ...] | None:
    """Return a class as of `parse_label`, or the classes of an image of any number of them.

    These are a list of names or ids; or a 0 or 1 for each class, as an array or as booleans.

    Raises:
        ValueError: if it is something else.

    Example:
        >>> parse_classes("cat"), parse_classes(["cat", "dog"]), parse_classes(np.array([0, 1, 1]))
        ('cat', ('cat', 'dog'), (1, 2))
    """
    is_list = isinstance(value, (list, tuple, set, frozenset))
    items = list(value) if is_list else []
    if is_list and all(isinstance(item, str) for item in items):
        return tuple(dict.fromkeys(name for item in items if (name := item.strip())))
    array = as_array(items if is_list else value)
    holds_names = array.ndim == 1 and array.dtype.kind in "OUS"
    if holds_names and not is_list:
        return parse_classes(array.tolist())
    if array.ndim != 1 or holds_names or (len(array) == 1 and array.dtype != bool):
        return parse_label(value)
    if array.dtype == bool or not is_list:
        return _of_flags(array)
    if len(set(items)) < len(items):
        raise ValueError(
            "The class ids of an image must be different numbers. Received: "
            f"{_shown(value)}: give a 0 or 1 for each class as an array"
        )
    return tuple(_class(item) for item in items)


def _of_flags(array: np.ndarray) -> tuple[int, ...]:
    if not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"An array of classes must have a 0 or 1 for each class. Received: {_shown(array)}: "
            "give class ids as a list"
        )
    return tuple(np.flatnonzero(array).tolist())


def parse_label(value: Any) -> int | str | None:
    """Return a class id or name; `None` for the id -1, which means that there is none.

    Raises:
        ValueError: if it is something else.
    """
    if isinstance(value, str):
        return value.strip() or None
    array = as_array(value)
    number: Any = array.item() if array.shape in ((), (1,)) else None
    if isinstance(number, float) and number.is_integer():  # a table with missing values
        number = int(number)
    if not is_integer(number):
        raise ValueError(f"{LABEL_RULE} Received: {_shown(value)}")
    if number < -1:
        raise ValueError(f"{LABEL_RULE} Received: {number}")
    return None if number == -1 else int(number)


def parse_objects(value: Mapping[str, Any] | Sequence[Mapping[str, Any]], corners: bool) -> Objects:
    """Return the boxes of a dict of columns, or of a list with a dict for each.

    Args:
        value: boxes and classes under one of the usual keys.
        corners: whether boxes are left, top, right and bottom; otherwise left, top, width, height.

    Raises:
        ValueError: if there are no such keys, or the values are not numbers.
    """
    if isinstance(value, Mapping):
        columns = {str(key): column for key, column in value.items()}
    else:
        keys = {str(key) for item in value for key in item}
        columns = {key: [item.get(key) for item in value] for key in keys}
        if not value:
            return Objects([], [])
    boxes, labels = (_column(columns, keys) for keys in (BOX_KEYS, CLASS_KEYS))
    ignored = as_array(columns.get("iscrowd", [])).reshape(-1).astype(bool).tolist()
    array = as_array(boxes)
    if not array.size:
        array = np.zeros((0, 4))
    if not isinstance(labels, (list, tuple)):
        labels = as_array(labels).reshape(-1).tolist()
    names = [_class(label) for label in labels]
    if array.dtype.kind not in "iuf" or array.shape != (len(names), 4):
        raise ValueError(
            "Boxes must be numbers (n, 4), with a class each. Received: boxes of the shape "
            f"{array.shape}, and {len(names)} classes"
        )
    array = array.astype("float64")
    if not corners:
        array = np.hstack([array[:, :2], array[:, :2] + array[:, 2:]])
    is_fitting = len(ignored) == len(names)
    rows: list[Any] = array.tolist()
    return Objects([tuple(row) for row in rows], names, ignored if is_fitting else [])


def _column(columns: Mapping[str, Any], keys: Sequence[str]) -> Any:
    key = next((key for key in keys if key in columns), None)
    if key is None:
        raise ValueError(
            f"Boxes must be under one of the keys {', '.join(BOX_KEYS)}, and their classes under "
            f"one of {', '.join(CLASS_KEYS)}. Received: {', '.join(columns) or 'no keys'}"
        )
    return columns[key]


def _class(value: Any) -> int | str:
    label = parse_label(value)
    if label is None:
        raise ValueError(f"Each box must have a class. Received: {_shown(value)}")
    return label


def as_array(value: Any) -> np.ndarray:
    """Return an array, a list of numbers, or a tensor of PyTorch on any device, as an array.

    Raises:
        ValueError: if it is none of them.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"An array is expected. Received: {_shown(value)}") from error


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
