"""Reader of CSV files with the path and the class of each image."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cspdarknet.data.annotations import Annotations, LabeledImage
from cspdarknet.data.splits import SPLIT_NAMES, split_name

# Names of the columns, each with those that other tools use.
PATH_COLUMNS = ("path", "file", "filename", "image", "photo")
LABEL_COLUMNS = ("label", "class", "class_name", "category")
SPLIT_COLUMNS = ("split", "part", "subset")


def read_csv_table(data: Path) -> Annotations[LabeledImage] | None:
    """Read a CSV file with the columns `path`, `label` and optionally `split`.

    Args:
        data: the file. The paths in it are relative to its folder; an empty `split` means the
            training split.

    Returns:
        The images by split, or `None` if `data` is not a `.csv` file.

    Raises:
        ValueError: if the file cannot be read, lacks a column or a value, or names an image twice.
    """
    if data.suffix.lower() != ".csv" or not data.is_file():
        return None
    splits: dict[str, list[LabeledImage]] = {}
    try:
        for split, image in _rows(data):
            splits.setdefault(split, []).append(image)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{data} is not a CSV file in UTF-8: {error}") from error
    except OSError as error:
        raise ValueError(f"{data} cannot be read: {error.strerror}.") from error
    counts = Counter(image.path for images in splits.values() for image in images)
    if repeated := [str(path) for path, count in counts.items() if count > 1]:
        raise ValueError(f"{data} names {len(repeated)} images twice, such as {repeated[0]}.")
    return Annotations(splits)


def _rows(path: Path) -> Iterator[tuple[str, LabeledImage]]:
    """Yield the split and the image of each row."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        path_column = _column(path, columns, PATH_COLUMNS)
        label_column = _column(path, columns, LABEL_COLUMNS)
        split_column = next((columns[name] for name in SPLIT_COLUMNS if name in columns), None)
        for row in reader:
            label = (row[label_column] or "").strip()
            if not label or not row[path_column]:
                raise ValueError(f"{path}, line {reader.line_num}: the path or label is missing.")
            split = _split(path, row[split_column]) if split_column else "train"
            yield split, LabeledImage(path.parent / row[path_column], label)


def _column(path: Path, columns: dict[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return columns[name]
    raise ValueError(
        f"{path} must have a header with a column {names[0]!r} (or {', '.join(names[1:])}). "
        f"Received the columns: {', '.join(columns) or 'none'}"
    )


def _split(path: Path, cell: str | None) -> str:
    split = split_name((cell or "").strip() or "train", exact=True)
    if split is None:
        raise ValueError(
            f"{path}: the split must be one of {', '.join(SPLIT_NAMES)}. Received: {cell!r}"
        )
    return split
