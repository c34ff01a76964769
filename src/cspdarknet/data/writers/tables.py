"""Writing of CSV files: classes of images that have any number of them, and numbers of images."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.dataset import ImageDataset
from cspdarknet.data.problems import Problem
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.names import UniqueNames


@dataclass(frozen=True)
class TableDataset(ImageDataset):
    """Images, each with the texts of a row of a table, as a dataset of numbers states them.

    Attributes:
        class_names: names of the columns.
        paths: the image files.
        rows: the texts of each image.

    Example:
        >>> pets = TableDataset(("age", "name"), (Path("1.png"),), (("3.5", "Tom"),))
        >>> len(pets), pets.rows[0]
        (1, ('3.5', 'Tom'))
    """

    rows: tuple[tuple[str, ...], ...]

    def _annotation_bytes(self, index: int) -> bytes:
        return "\0".join(self.rows[index]).encode(errors="surrogateescape")


def write_multi_label(
    folder: Path, splits: Mapping[str, ClassificationDataset], images: ImageFiles
) -> list[Problem]:
    """Write `<split>/<image>` and `<split>/_classes.csv`, with 0 or 1 for each class.

    Args:
        folder: an empty folder.
        splits: the splits.
        images: sizes and copies of the image files.

    Returns:
        What the format cannot hold: nothing.
    """
    for split, dataset in splits.items():
        (folder / split).mkdir()
        rows = []
        file_names = UniqueNames().add_all(dataset.paths)
        for i, (path, file_name) in enumerate(zip(dataset.paths, file_names, strict=True)):
            images.copy(path, folder / split / file_name)
            classes = set(dataset.class_ids(i))
            rows.append([file_name, *(int(k in classes) for k in range(len(dataset.class_names)))])
        _write(folder / split / "_classes.csv", ["filename", *dataset.class_names], rows)
    return []


def write_numbers(
    folder: Path, splits: Mapping[str, TableDataset], images: ImageFiles
) -> list[Problem]:
    """Write `images/<image>` and `numbers.csv`: the path, the columns of the source, and the split.

    Args:
        folder: an empty folder.
        splits: the splits.
        images: sizes and copies of the image files.

    Returns:
        What the format cannot hold: nothing.
    """
    (folder / "images").mkdir()
    rows, names, columns = [], UniqueNames(), next(iter(splits.values())).class_names
    for split, dataset in splits.items():
        for path, values in zip(dataset.paths, dataset.rows, strict=True):
            name = names.add(path)
            images.copy(path, folder / "images" / name)
            rows.append([f"images/{name}", *values, split])
    _write(folder / "numbers.csv", ["path", *columns, "split"], rows)
    return []


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
