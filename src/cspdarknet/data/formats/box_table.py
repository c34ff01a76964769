"""CSV files of boxes: those of Roboflow and TensorFlow with a header, RetinaNet's without."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.csv_table import (
    LABEL_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    column,
    header,
    table_rows,
)
from cspdarknet.data.formats.format import RECOGNIZED, RELATED, Format, Match
from cspdarknet.data.formats.listed import (
    ListedImage,
    Listing,
    few_of_each_folder,
    match_files,
    read_listed,
)
from cspdarknet.data.formats.values import Box, as_number, as_size, as_text
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import SPLIT_NAMES, split_name
from cspdarknet.images import has_image_suffix

SIDE_COLUMNS = (
    ("xmin", "x_min", "x1", "left"),
    ("ymin", "y_min", "y1", "top"),
    ("xmax", "x_max", "x2", "right"),
    ("ymax", "y_max", "y2", "bottom"),
)
SIZE_COLUMNS = (("width", "image_width"), ("height", "image_height"))
# The columns of a table without a header.
WITHOUT_HEADER = ["path", "x1", "y1", "x2", "y2", "class"]


class _Row(NamedTuple):
    """The values of a row, as text."""

    where: str
    path: str
    sides: tuple[str, ...]
    label: str
    size: tuple[str, ...]
    split: str
    extra: bool  # whether there are more values than columns


def match(files: DatasetFiles) -> Match | None:
    """Match CSV files with the columns of boxes."""
    names = _tables(files, few_of_each_folder(files.with_suffix(".csv")))
    # Many tables are made from the files of another format, as TensorFlow's from Pascal VOC.
    others = files.with_suffix(".xml", ".json")
    is_certain = names and not others and _has_header(header(files, names[0]))
    certainty = RECOGNIZED if is_certain else RELATED
    return match_files(files, names, certainty, "has columns of images, classes and boxes")


def _tables(files: DatasetFiles, names: list[str]) -> list[str]:
    return [name for name in names if _columns(header(files, name))]


def _has_header(first: list[str]) -> bool:
    needed = (PATH_COLUMNS, LABEL_COLUMNS, *SIDE_COLUMNS)
    return all(column(first, names) for names in needed)


def _columns(first: list[str]) -> list[str] | None:
    """Return the names of the columns by the first row; `None` if it is not a table of boxes."""
    if _has_header(first):
        return first
    if len(first) != len(WITHOUT_HEADER) or not has_image_suffix(first[0]):
        return None
    is_box = all(side.lstrip("-").replace(".", "", 1).isdigit() for side in first[1:5])
    return WITHOUT_HEADER if is_box or not any(first[1:]) else None


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the rows of tables: image, class, and the sides of a box in pixels.

    A row without a class and sides is an image without boxes. RetinaNet's second file, of classes
    and their ids, gives the order of the classes.

    Raises:
        ValueError: if a file is not CSV, or has other columns.
    """
    return read_listed(files, _tables(files, files.with_suffix(".csv")), _read_file)


def _read_file(files: DatasetFiles, name: str) -> Listing:
    by_path: dict[str, list[_Row]] = {}
    for row in _rows(files, name):
        by_path.setdefault(row.path, []).append(row)
    listing, path = Listing(), files.path(name)
    if not _has_header(header(files, name)):
        listing.class_names, listing.used = _declared_classes(files)
    for row in by_path.pop("", []):
        listing.problems.append(Problem("malformed annotation", path, "it has no path", row.where))
    listing.read(path, by_path.items(), lambda rows: rows[0].path, _image)
    return listing


def _rows(files: DatasetFiles, name: str) -> Iterator[_Row]:
    rows = table_rows(files, name)
    columns = _columns(header(files, name)) or []
    if columns is not WITHOUT_HEADER:
        next(rows, None)
    path, label, split, *others = (
        columns.index(found) if (found := column(columns, names)) else len(columns)
        for names in (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS, *SIDE_COLUMNS, *SIZE_COLUMNS)
    )
    for number, row in enumerate(rows, 1 if columns is WITHOUT_HEADER else 2):
        if any(row):
            extra = any(row[len(columns) :])
            # The last is for columns that are not there.
            row = (row + [""] * len(columns))[: len(columns)]
            row.append("")
            values = tuple(row[index] for index in others)
            yield _Row(
                f"line {number}", row[path], values[:4], row[label], values[4:], row[split], extra
            )


def _image(reference: str, rows: list[_Row]) -> ListedImage:
    objects: list[tuple[str, Box | None]] = []
    size = split = None
    for row in rows:
        try:
            if row.extra:
                raise ValueError("it has more values than columns; put texts in quotes")
            size = as_size(*row.size)
            split = split_name(row.split, exact=True) if row.split else None
            if row.split and split is None:
                expected = ", ".join(SPLIT_NAMES)
                raise ValueError(f"the split must be one of {expected}. Received: {row.split!r}")
            if row.label or any(row.sides):
                left, top, right, bottom = (as_number(side, "each side") for side in row.sides)
                objects.append((as_text(row.label, "the class"), (left, top, right, bottom)))
        except ValueError as error:
            raise ValueError(f"{row.where}: {error}") from error
    return ListedImage(reference, objects, size, split)


def _declared_classes(files: DatasetFiles) -> tuple[list[str], list[Path]]:
    """Return the classes of a file with a class and its id in each row, in the order of the ids."""
    if files.file is not None:
        return [], []
    for name in few_of_each_folder(files.with_suffix(".csv")):
        try:
            rows = [(int(number), label) for label, number in filter(any, table_rows(files, name))]
            if rows and [number for number, _ in sorted(rows)] == list(range(len(rows))):
                return [label for _, label in sorted(rows)], [files.path(name)]
        except ValueError:
            continue
    return [], []


BOX_TABLE = Format(
    "CSV boxes",
    "detection",
    "CSV files such as train/_annotations.csv, with a box in each row",
    match,
    read,
)
