"""CSV files with a column of 0 and 1 for each class, such as Roboflow's `_classes.csv`."""

from functools import partial
from itertools import islice
from pathlib import Path

from cspdarknet.data.annotations import Annotations, LabeledImage, MultiLabelImage
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.csv_table import (
    LABEL_COLUMNS,
    PATH_COLUMNS,
    column,
    header,
    table_rows,
)
from cspdarknet.data.formats.format import RECOGNIZED, Format, Match
from cspdarknet.data.formats.listed import (
    ListedImage,
    Listing,
    few_of_each_folder,
    match_files,
    read_listed,
)
from cspdarknet.data.problems import Problem

# Roboflow's column of the images that no one has labeled.
UNLABELED = "Unlabeled"
ZERO, ONE = ("0", "0.0"), ("1", "1.0")
# Rows that decide whether a table is in the format.
LOOKED_AT = 20
SHOWN_CLASSES = 5


def match(files: DatasetFiles) -> Match | None:
    """Match CSV files whose first column has paths and all others 0 or 1."""
    names = _one_hot(files, few_of_each_folder(files.with_suffix(".csv")))
    return match_files(files, names, RECOGNIZED, "has a column of 0 and 1 for each class")


def _one_hot(files: DatasetFiles, names: list[str]) -> list[str]:
    return [name for name in names if _is_one_hot(files, name)]


def _is_one_hot(files: DatasetFiles, name: str) -> bool:
    columns = header(files, name)
    is_path_first = columns[:1] == [column(columns[:1], PATH_COLUMNS)]
    # A column of classes may be of 0 and 1, too, beside other flags; `target` may be a class.
    if len(columns) < 3 or not is_path_first or column(columns[1:], LABEL_COLUMNS[:-1]):
        return False
    rows = list(islice(table_rows(files, name), 1, LOOKED_AT + 1))
    flags = [value for row in rows for value in row[1:]]
    return bool(flags) and set(flags) <= {*ZERO, *ONE}


def read(files: DatasetFiles) -> Annotations[LabeledImage]:
    """Read the images with exactly one class; each other is a problem.

    Raises:
        ValueError: if no file is in the format, or two of a split name some of the same images.
    """
    names = _one_hot(files, files.with_suffix(".csv"))
    return read_listed(files, names, partial(_read_file, is_multi_label=False), _labeled)


def read_multi_label(files: DatasetFiles) -> Annotations[MultiLabelImage]:
    """Read the images with all their classes.

    Raises:
        ValueError: if no file is in the format, or two of a split name some of the same images.
    """
    names = _one_hot(files, files.with_suffix(".csv"))
    return read_listed(files, names, partial(_read_file, is_multi_label=True), _multi_labeled)


def _labeled(path: Path, image: ListedImage) -> LabeledImage:
    ((class_name, _),) = image.objects
    return LabeledImage(path, class_name)


def _multi_labeled(path: Path, image: ListedImage) -> MultiLabelImage:
    return MultiLabelImage(path, tuple(class_name for class_name, _ in image.objects))


def _read_file(files: DatasetFiles, name: str, *, is_multi_label: bool) -> Listing:
    rows, path = table_rows(files, name), files.path(name)
    names = next(rows, [])[1:]
    listing = Listing(class_names=[name for name in names if name != UNLABELED])
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        where = f"line {number}"
        reference, *values = row
        classes = [n for n, value in zip(names, values, strict=False) if value in ONE]
        if not reference or len(values) != len(names) or not set(values) <= {*ZERO, *ONE}:
            reason = f"it must have a path, and 0 or 1 for each of {len(names)} classes"
            listing.problems.append(Problem("malformed annotation", path, reason, where))
        elif is_multi_label and UNLABELED in classes:
            reason = f"{reference} is {UNLABELED}"
            listing.problems.append(Problem("unlabeled image", path, reason, where))
        elif not is_multi_label and (len(classes) != 1 or classes == [UNLABELED]):
            shown = ", ".join(classes[:SHOWN_CLASSES]) or "no class"
            reason = f"{reference} is of {shown}: train with `--labels multi` (labels='multi')"
            listing.problems.append(Problem("several classes", path, reason, where))
        else:
            listing.images.append(ListedImage(reference, [(n, None) for n in classes]))
            continue
        listing.left_out += [reference] if reference else []
    return listing


ONE_HOT = Format(
    "CSV multi-label",
    "classification",
    "CSV files such as train/_classes.csv, with a column of 0 and 1 for each class",
    match,
    read,
    read_multi_label,
)
