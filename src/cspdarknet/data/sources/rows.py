"""Columns of images and annotations in tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cspdarknet._labels import MULTI, SINGLE
from cspdarknet.data.formats.csv_table import (
    LABEL_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    column,
    value_columns,
)
from cspdarknet.data.sources.samples import CLASS_KEYS, Target, parse_classes, parse_objects
from cspdarknet.data.splits import SPLIT_NAMES, split_name

OBJECT_COLUMNS = ("objects", "annotations")


class Columns(NamedTuple):
    """The columns of a table.

    Attributes:
        image: name of the column of images.
        target: name of the column of classes or boxes.
        has_boxes: whether these are boxes.
        class_names: names of the classes by id, if the table has them.
        split: name of the column of splits, if there is one.
        flags: names of the columns of 0 and 1, one for each class, in place of `target`.
    """

    image: str
    target: str
    has_boxes: bool
    class_names: Mapping[int, str]
    split: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        targets = self.flags or (self.target,)
        return (self.image, *targets, *([self.split] if self.split else []))

    @property
    def description(self) -> str:
        """What was recognized."""
        if self.flags:
            return f"columns {self.image} and {len(self.flags)} of classes"
        return f"columns {self.image} and {self.target}"


def find_columns(
    features: Mapping[str, Any], task: str | None, kind: str, labels: str = SINGLE
) -> Columns:
    """Return the columns of a table.

    Args:
        features: the names of the columns, with the features of a Hugging Face dataset, as objects
            or as a JSON file describes them; or `None` for other tables.
        task: `"classification"` or `"detection"`; `None` for either.
        kind: what the table is, for the message.
        labels: with `"multi"`, a table without a column of classes has one of 0 and 1 for each.

    Raises:
        ValueError: if there are no columns of images and annotations, or several.
    """
    names = [name for name in features if isinstance(name, str)]
    image = image_column(features)
    typed = [n for n in names if _type(features[n]) == "ClassLabel"]
    label = _only(names, LABEL_COLUMNS, typed)
    objects = column(names, OBJECT_COLUMNS)
    has_boxes = objects is not None and task != "classification"
    target = objects if has_boxes else label
    split = column(names, SPLIT_COLUMNS)
    flags = tuple(n for n in value_columns(names) if n != image)
    if labels == MULTI and target is None and image is not None and flags:
        return Columns(image, "", False, dict(enumerate(flags)), split, flags)
    if image is None or target is None or (task == "detection" and not has_boxes):
        raise ValueError(
            f"A {kind} must have a column of images (named {', '.join(PATH_COLUMNS[:3])}, ... "
            f"unless it is the only one) and a column of classes ({', '.join(LABEL_COLUMNS)}), or "
            f"`objects` with `bbox` and `category`{f' for {task}' if task else ''}. Received the "
            f"columns: {', '.join(map(str, names)) or 'none'}. Rename the columns."
        )
    feature = _category(features[target]) if has_boxes else _element(features[target])
    declared = _field(feature, "names")
    is_list = isinstance(declared, (list, tuple)) and all(isinstance(n, str) for n in declared)
    class_names: dict[int, str] = dict(enumerate(declared)) if is_list else {}
    return Columns(image, target, has_boxes, class_names, split)


def image_column(features: Mapping[str, Any]) -> str | None:
    """Return the column of images of a table; arguments as of `find_columns`."""
    names = [name for name in features if isinstance(name, str)]
    return _only(names, PATH_COLUMNS, [n for n in names if _type(features[n]) == "Image"])


def _only(names: Sequence[str], usual: Sequence[str], typed: Sequence[str]) -> str | None:
    """Return the column of the type, or the one with a usual name."""
    if len(typed) == 1:
        return typed[0]
    return column(typed or names, usual)


def _field(feature: Any, name: str) -> Any:
    return feature.get(name) if isinstance(feature, Mapping) else getattr(feature, name, None)


def _type(feature: Any) -> str:
    """Return the name of the type of a column's feature."""
    if isinstance(feature, Mapping):
        return str(feature.get("_type", ""))
    return type(feature).__name__


def _element(feature: Any) -> Any:
    """Return the feature of a column of classes, or that of the items of a column of lists."""
    if isinstance(feature, list) and feature:
        return feature[0]
    return _field(feature, "feature") or feature


def _category(feature: Any) -> Any:
    """Return the feature of the classes of a column of boxes."""
    if feature is None:
        return None
    for _ in range(2):  # a list of dicts of lists, in different versions
        inner = _field(feature, "feature")
        feature = feature[0] if isinstance(feature, list) and feature else inner or feature
    if not isinstance(feature, Mapping):
        return None
    key = next((key for key in CLASS_KEYS if key in feature), None)
    category = feature.get(key) if key else None
    return _field(category, "feature") or category


def row_items(
    rows: Iterable[Mapping[str, Any]], columns: Columns, split: str, where: str
) -> Iterator[tuple[str, Any, Target]]:
    """Yield split, image and target of each row.

    Args:
        rows: the rows.
        columns: the columns.
        split: the split of rows that do not name one.
        where: description of the table, for messages.

    Raises:
        ValueError: if a row is malformed.
    """
    for i, row in enumerate(rows):
        try:
            yield split_of_row(row, columns.split, split), row[columns.image], _target(row, columns)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{where}, row {i}: {error}") from error


def _target(row: Mapping[str, Any], columns: Columns) -> Target:
    if columns.flags:
        return _of_flags(row, columns.flags)
    target = row[columns.target]
    if is_missing(target):
        return None
    return parse_objects(target, False) if columns.has_boxes else parse_classes(target)


def _of_flags(row: Mapping[str, Any], names: Sequence[str]) -> Target:
    """Return the ids of the classes whose column has a 1; none of a row without any value."""
    if all(is_missing(row[name]) for name in names):
        return None
    for name in names:
        if row[name] not in (0, 1):
            raise ValueError(
                f"each class must have a 0 or 1. Received: {str(row[name])[:80]!r} in the column "
                f"{name!r}: leave columns out that are none of classes"
            )
    return tuple(i for i, name in enumerate(names) if row[name])


def split_of_row(row: Mapping[str, Any], name: str | None, default: str) -> str:
    """Return the split of a row, as its column of splits states it.

    Args:
        row: the row.
        name: name of the column; `None` if there is none.
        default: the split of rows that do not state one.

    Raises:
        ValueError: if it is no name of a split.
    """
    text = row.get(name) if name else None  # one split may lack the column
    if is_missing(text) or not str(text).strip():
        return default
    found = split_name(str(text), exact=True)
    if found is None:
        raise ValueError(
            f"the split must be one of {', '.join(SPLIT_NAMES)}. Received: {str(text)[:80]!r}"
        )
    return found


def is_missing(value: Any) -> bool:
    """Whether a value of a table is missing: `None`, or NaN or `pandas.NA` in some tables."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value
