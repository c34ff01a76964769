"""Conversion of a dataset to another format."""

from pathlib import Path
from typing import Any

from cspdarknet._labels import SINGLE
from cspdarknet.data.writers.folder import check_destination
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.load import load_dataset
from cspdarknet.data.writers.write import WrittenDataset, check_writer, task_of, write_dataset


def convert_dataset(
    source: Any,
    destination: str | Path,
    to: str = "coco",
    task: str | None = None,
    format: str | None = None,
    on_problem: str = "raise",
    link: bool = False,
    labels: str = SINGLE,
) -> WrittenDataset:
    """Convert a dataset to another format.

    Splits, the order of the classes, and images without boxes are kept. Ignored boxes are kept as
    COCO's crowds and VOC's difficult objects; the YOLO format cannot mark them, so that they are
    left out and listed in `problems`. Coordinates are those of the upright image, and equal to the
    original ones as float32. Images are copied byte for byte; one whose name is taken gets a number
    behind it.

    Args:
        source: the dataset: everything that `read_dataset` takes.
        destination: a new or empty folder outside the source. It is written as a whole, or not at
            all.
        to: `"coco"`, `"voc"` or `"yolo"` for detection; `"folder"`, a folder for each class, for
            classification; `"multi-label"`, CSV files with a column of 0 and 1 for each class;
            `"numbers"`, a CSV file with the columns of a source for regression.
        task: `"classification"`, `"detection"` or `"regression"`, for a source that could be
            several.
        format: name of the format of the source; `None` to recognize it.
        on_problem: `"raise"` an error if annotations are wrong; or `"fix"` them: clip boxes to
            their image, leave out what cannot be used, and list all of it in `problems`.
        link: whether to make hard links to the images instead of copies, where the file system can.
        labels: `"multi"` for images of any number of classes.

    Returns:
        `WrittenDataset`.

    Raises:
        ValueError: if the source cannot be read or has problems, the format is for another task or
            cannot hold the names of the classes, or the destination cannot be written.
        ImportError: if PyYAML is not installed, for the YOLO format.

    Example:
        >>> for name in ("cells", "cells/labels", "cells/images"):
        ...     Path(name).mkdir()
        >>> Image.new("RGB", (80, 60)).save("cells/images/a.png")
        >>> _ = Path("cells/labels/a.txt").write_text("0 0.5 0.5 0.25 0.5")
        >>> _ = Path("cells/classes.txt").write_text("cell")
        >>> written = convert_dataset("cells", "cells_coco", to="coco")
        >>> written.images, written.boxes, Path("cells_coco/images/train/a.png").is_file()
        ({'train': 1}, 1, True)
    """
    check_writer(to, task, labels)
    path = check_destination(destination, source)
    images = ImageFiles(link)
    dataset = load_dataset(source, task_of(to, task), format, on_problem, images, labels)
    check_writer(to, dataset.task, dataset.labels)
    return write_dataset(path, to, dataset.splits, images, dataset.problems)
