"""CSV files with the path of each image and one number or more."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from cspdarknet.data.annotations import Annotations, NumberedImage
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.csv_table import (
    LABEL_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    column,
    has_boxes,
    header,
    may_be_measured,
    table_rows,
    value_columns,
)
from cspdarknet.data.formats.format import NAMED, UNLIKELY, Format, Match
from cspdarknet.data.formats.listed import (
    ListedImage,
    Listing,
    few_of_each_folder,
    read_listed,
)
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import SPLIT_NAMES, split_name

# Rows that decide which columns are of numbers.
LOOKED_AT = 200
# Below folders of images: many a dataset of classes has a table of sizes or dates, too.
BESIDE_IMAGES = 1.5 * UNLIKELY
# Below everything: only where the task is asked for.
ASKED_FOR = UNLIKELY / 2


def match(files: DatasetFiles) -> Match | None:
    """Match CSV files with a column of paths and at least one of numbers."""
    names = _tables(files, few_of_each_folder(files.with_suffix(".csv")))
    if not names:
        is_table = files.file is not None and bool(files.with_suffix(".csv"))
        return Match(ASKED_FOR, "a CSV file") if is_table else None  # the error says what lacks
    columns = header(files, names[0])
    numbers = ", ".join(number_columns(files, names[0]))
    certainty = NAMED if files.file is not None else BESIDE_IMAGES
    if column(columns, LABEL_COLUMNS) or has_boxes(columns) or _are_flags(files, names[0]):
        certainty = ASKED_FOR
    return Match(certainty, f"{names[0]} has a column of images and columns of numbers: {numbers}")


def read(files: DatasetFiles) -> Annotations[NumberedImage]:
    """Read the rows of CSV files: path, numbers, and optionally the split.

    `class_names` of the result are the columns of numbers; the values of the other columns are kept
    as well, for targets that are chosen by name.

    Raises:
        ValueError: if no file is in the format, or two of a split name some of the same images.
    """
    names = files.with_suffix(".csv") if files.file is None else [files.file]
    tables = _tables(files, names)
    if not tables and files.file is not None:
        columns = next(table_rows(files, files.file), [])  # which fails if it is no text
        raise ValueError(
            f"{files.path(files.file)} must have a header with a column {PATH_COLUMNS[0]!r} (or "
            f"{', '.join(PATH_COLUMNS[1:])}), and a column in which most values are numbers, such "
            f"as 3.7. Received the columns: {', '.join(columns) or 'none'}"
        )
    return read_listed(files, tables, _read_file, _numbered)


def number_columns(files: DatasetFiles, name: str) -> list[str]:
    """Return the columns of a CSV file in which most of the first values are finite numbers."""
    columns = header(files, name)
    candidates = [columns.index(c) for c in value_columns(columns) if may_be_measured(c)]
    rows = list(islice(table_rows(files, name), 1, LOOKED_AT + 1))
    found = []
    for index in candidates:
        if are_numbers(row[index] for row in rows if index < len(row)):
            found.append(columns[index])
    return found


def are_numbers(texts: Iterable[str]) -> bool:
    """Whether most of the texts of a column that are not empty are finite numbers."""
    given = [text for text in texts if text]
    return bool(given) and 2 * sum(map(is_finite, given)) > len(given)


def is_finite(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _tables(files: DatasetFiles, names: Sequence[str]) -> list[str]:
    """Return the CSV files with paths and numbers; not the samples of a submission to Kaggle."""
    return [
        name
        for name in names
        if (files.file is not None or "submission" not in name.lower())
        and column(header(files, name), PATH_COLUMNS)
        and number_columns(files, name)
    ]


def _are_flags(files: DatasetFiles, name: str) -> bool:
    """Whether all numbers are 0 or 1, as of a table with a column for each class."""
    columns = header(files, name)
    indices = [columns.index(c) for c in number_columns(files, name)]
    rows = islice(table_rows(files, name), 1, LOOKED_AT + 1)
    flags = {row[i] for row in rows for i in indices if i < len(row)}
    return flags <= {"0", "1", "0.0", "1.0"}


def _numbered(path: Path, image: ListedImage) -> NumberedImage:
    assert image.values is not None
    return NumberedImage(path, image.values, *image.origin)


def _read_file(files: DatasetFiles, name: str) -> Listing:
    columns, path = header(files, name), files.path(name)
    listing = Listing(class_names=number_columns(files, name))
    if repeated := [c for c, count in Counter(filter(None, columns)).items() if count > 1]:
        raise ValueError(f"{path} has several columns named {repeated[0]!r}: rename them.")
    of_path, of_split = column(columns, PATH_COLUMNS) or "", column(columns, SPLIT_COLUMNS) or ""
    kept, seen = value_columns(columns), set[str]()
    for number, row in _filled_rows(files, name, len(columns)):
        where, cells = f"line {number}", dict(zip(columns, row, strict=False))
        reference, split = cells[of_path], cells.get(of_split, "")
        if reason := _malformed(row, columns, reference, split):
            listing.problems.append(Problem("malformed annotation", path, reason, where))
            listing.left_out += [reference] if reference else []
        elif reference in seen:
            reason = f"it names {reference} a second time"
            listing.problems.append(Problem("repeated image", path, reason, where))
        else:
            seen.add(reference)
            values = {column: cells[column] for column in kept}
            found = split_name(split, exact=True)
            image = ListedImage(reference, [], split=found, values=values, origin=(path, where))
            listing.images.append(image)
    return listing


def _malformed(row: Sequence[str], columns: Sequence[str], reference: str, split: str) -> str:
    """Return why a row cannot be used; an empty text if it can."""
    if any(row[len(columns) :]):
        return f"it has {len(row)} values for {len(columns)} columns; put texts in quotes"
    if not reference:
        return "the path is missing"
    if split and split_name(split, exact=True) is None:
        return f"the split must be one of {', '.join(SPLIT_NAMES)}. Received: {split!r}"
    return ""


def _filled_rows(files: DatasetFiles, name: str, count: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the values of each row, with empty ones for those that are missing."""
    for number, row in enumerate(islice(table_rows(files, name), 1, None), 2):
        if any(row):
            yield number, row + [""] * (count - len(row))


NUMBERS = Format(
    "CSV numbers",
    "regression",
    "a CSV file with the columns path, one or more of numbers, and optionally split",
    match,
    read,
)
