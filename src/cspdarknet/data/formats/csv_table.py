"""CSV files with the path and the class of each image."""

import csv
import io
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from cspdarknet.data.annotations import Annotations, LabeledImage, MultiLabelImage
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.class_lists import separator_of, split_names
from cspdarknet.data.formats.format import CONVENTION, NAMED, UNLIKELY, Format, Match
from cspdarknet.data.formats.merging import MergedFiles, ambiguous, in_reading_order
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import SPLIT_NAMES, split_name

# Names of the columns, each with those that other tools use.
PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "image", "image_path", "photo", "image_id", "img"),
    "id",
)
LABEL_COLUMNS = (
    *("label", "class", "class_name", "category", "labels", "classes", "tags"),
    "target",
)
SPLIT_COLUMNS = ("split", "part", "subset")
# Columns that are numbers, but no measurements: the index of a data frame, and row numbers.
INDEX_COLUMNS = ("", "index", "unnamed: 0")


def value_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that are neither the paths, nor the splits, nor an index.

    Example:
        >>> value_columns(["path", "id", "age", "split", "Index"])
        ['id', 'age']
    """
    used = (column(columns, PATH_COLUMNS), column(columns, SPLIT_COLUMNS))
    return [c for c in columns if c not in used and c.strip().lower() not in INDEX_COLUMNS]


def may_be_measured(name: str) -> bool:
    """Whether numbers in a column may be measurements: they are names in `id`, for example."""
    return name.strip().lower() not in (*PATH_COLUMNS, *INDEX_COLUMNS)


# Columns of tables of boxes.
BOX_COLUMNS = ("xmin", "x_min", "x1", "x0", "bbox", "bbox_x", "bbox_x1", "bbox_xmin", "x_center")
POSITION_COLUMNS = (("x", "left", "cx"), ("y", "top", "cy"), ("w", "width"), ("h", "height"))
DELIMITERS = (",", ";", "\t")


def match(files: DatasetFiles) -> Match | None:
    """Match CSV files with a column of paths and one of classes."""
    if names := _tables(files):
        reason = f"{names[0]} has a column of images and one of classes"
        return Match(CONVENTION if files.file is None else NAMED, reason)
    if files.file is not None and files.with_suffix(".csv"):
        return Match(UNLIKELY, "a CSV file")
    if names := _unreadable(files):
        return Match(2 * UNLIKELY, f"{names[0]} is a CSV file")
    return None


def read(files: DatasetFiles) -> Annotations[LabeledImage]:
    """Read the rows of CSV files: path, class, and optionally the split.

    Raises:
        ValueError: if a file is not CSV, or lacks a column.
    """
    return _read(files, is_multi_label=False)


def read_multi_label(files: DatasetFiles) -> Annotations[MultiLabelImage]:
    """Read the rows of CSV files: path, classes, and optionally the split.

    Raises:
        ValueError: if a file is not CSV, or lacks a column.
    """
    return _read(files, is_multi_label=True)


def _read(files: DatasetFiles, is_multi_label: bool) -> Annotations[Any]:
    names = [files.file] if files.file is not None else _tables(files) or _unreadable(files)
    merged = MergedFiles(files)
    for file_split, name in in_reading_order(names, files):
        rows, problems = _rows(files, name, file_split, needs_class=not is_multi_label)
        separator = separator_of(label for _, _, label in rows)
        references = [reference for _, reference, _ in rows]
        paths = files.locate(references, posixpath.dirname(name), file_split)
        if not merged.claims(file_split, name, references, paths):
            continue
        for (split, reference, label), path in zip(rows, paths, strict=True):
            if path is None:
                problems.append(ambiguous(files.path(name), reference))
            elif is_multi_label:
                merged.add(split, [MultiLabelImage(path, split_names(label, separator))])
            else:
                merged.add(split, [LabeledImage(path, label)])
        merged.problems += problems
    return merged.annotations()


def _unreadable(files: DatasetFiles) -> list[str]:
    """Return the CSV files that are not text in UTF-8, so that the error names them."""
    found = []
    for name in files.with_suffix(".csv"):
        try:
            files.text(name)
        except ValueError:
            found.append(name)
    return found


def _tables(files: DatasetFiles) -> list[str]:
    """Return the CSV files of classes; a sample of a submission to Kaggle has made-up ones."""
    found = []
    for name in files.with_suffix(".csv"):
        columns = header(files, name)
        if (
            column(columns, PATH_COLUMNS)
            and column(columns, LABEL_COLUMNS)
            and not has_boxes(columns)
            and "submission" not in name.lower()
        ):
            found.append(name)
    return found


def has_boxes(columns: Sequence[str]) -> bool:
    """Whether the columns of a table are those of boxes."""
    has_position = all(column(columns, names) for names in POSITION_COLUMNS)
    return has_position or column(columns, BOX_COLUMNS) is not None


def header(files: DatasetFiles, name: str) -> list[str]:
    """Return the first row of a CSV file, empty if it cannot be read."""
    try:
        return next(table_rows(files, name), [])
    except ValueError:
        return []


def table_rows(files: DatasetFiles, name: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, whose values are separated by commas, semicolons or tabs.

    Raises:
        ValueError: if it is not CSV in UTF-8.
    """
    text = files.text(name)
    first = text[: text.find("\n")]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            yield [value.strip() for value in row]
    except csv.Error as error:
        raise ValueError(f"{files.path(name)} is not a CSV file: {error}") from error


def column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column that has one of these names, the first that is there."""
    by_name = {name.lower(): name for name in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _rows(
    files: DatasetFiles, name: str, file_split: str, needs_class: bool
) -> tuple[list[tuple[str, str, str]], list[Problem]]:
    """Return split, reference and class of each row, and the problems of the others."""
    lines = table_rows(files, name)
    columns = next(lines, [])
    path_column, label_column = (
        columns.index(_needed(files, name, columns, names))
        for names in (PATH_COLUMNS, LABEL_COLUMNS)
    )
    split_column = column(columns, SPLIT_COLUMNS)
    rows, problems, seen = [], [], set()
    for number, row in enumerate(lines, 2):
        where, path = f"line {number}", files.path(name)
        if not any(row):
            continue
        row += [""] * (len(columns) - len(row))
        reference, label = row[path_column], row[label_column]
        text = row[columns.index(split_column)] if split_column else ""
        split = split_name(text, exact=True) if text else file_split
        if any(row[len(columns) :]):
            reason = f"it has {len(row)} values for {len(columns)} columns; put texts in quotes"
            problems.append(Problem("malformed annotation", path, reason, where))
        elif not reference or (needs_class and not label):
            reason = "the path or the class is missing"
            problems.append(Problem("malformed annotation", path, reason, where))
        elif split is None:
            reason = f"the split must be one of {', '.join(SPLIT_NAMES)}. Received: {text!r}"
            problems.append(Problem("malformed annotation", path, reason, where))
        elif reference in seen:
            reason = f"it names {reference} a second time"
            problems.append(Problem("repeated image", path, reason, where))
        else:
            rows.append((split, reference, label))
        seen.add(reference)
    return rows, problems


def _needed(files: DatasetFiles, name: str, columns: Sequence[str], names: Sequence[str]) -> str:
    found = column(columns, names)
    if found is None:
        raise ValueError(
            f"{files.path(name)} must have a header with a column {names[0]!r} (or "
            f"{', '.join(names[1:])}). Received the columns: {', '.join(columns) or 'none'}"
        )
    return found


CSV = Format(
    "CSV",
    "classification",
    "a CSV file with the columns path, label and optionally split",
    match,
    read,
    read_multi_label,
)
