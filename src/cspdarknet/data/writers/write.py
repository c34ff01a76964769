"""Writing of a dataset in any of the formats that are written."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cspdarknet._arguments import check_choice
from cspdarknet._labels import MULTI, SINGLE, check_labels
from cspdarknet.data.annotations import AnnotatedImage, NumberedImage
from cspdarknet.data.problems import Problem
from cspdarknet.data.read import read_dataset
from cspdarknet.data.writers.class_folders import write_class_folders
from cspdarknet.data.writers.coco import write_coco
from cspdarknet.data.writers.folder import new_folder
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.tables import write_multi_label, write_numbers
from cspdarknet.data.writers.voc import write_voc
from cspdarknet.data.writers.yolo import write_yolo
from cspdarknet.images import IGNORED

# Characters that are not text, or end a line.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
SHOWN_NAMES = 3


class Writer(NamedTuple):
    """A format that is written.

    Attributes:
        format: its name among the formats that are read.
        task: `"classification"`, `"detection"` or `"regression"`.
        write: writes the splits to an empty folder, and returns what the format cannot hold.
        can_name: whether the format can hold the name of a class.
        keeps_ignored: whether it can mark ignored boxes.
        labels: the kind of labels of a dataset for classification.
    """

    format: str
    task: str
    write: Callable[[Path, Any, ImageFiles], list[Problem]]
    can_name: Callable[[str], bool]
    keeps_ignored: bool = True
    labels: str = SINGLE


@dataclass(frozen=True)
class WrittenDataset:
    """A dataset that was written.

    Attributes:
        path: its folder.
        to: the format: `"coco"`, `"voc"`, `"yolo"`, `"folder"`, `"multi-label"` or `"numbers"`.
        task: `"classification"`, `"detection"` or `"regression"`.
        class_names: names of the classes, in the order of the class ids; of a table of numbers,
            those of its columns.
        images: number of images of each split.
        boxes: number of boxes; 0 for other tasks than detection.
        problems: what was wrong in the source, and what the format cannot hold.
    """

    path: Path
    to: str
    task: str
    class_names: tuple[str, ...]
    images: dict[str, int]
    boxes: int
    problems: tuple[Problem, ...]


def _is_line(name: str) -> bool:
    return bool(name) and name == name.strip() and not CONTROL.search(name)


def _is_folder_name(name: str) -> bool:
    return not (
        not name
        or name.startswith(".")
        or name.lower() in IGNORED
        or re.search(r"[/\\\x00]", name)
        or len(name.encode(errors="surrogateescape")) > 255
    )


def _is_text(name: str) -> bool:
    return bool(name) and not CONTROL.search(name)


WRITERS = {
    "coco": Writer("COCO", "detection", write_coco, bool),
    "voc": Writer("Pascal VOC", "detection", write_voc, _is_line),
    "yolo": Writer("YOLO", "detection", write_yolo, _is_text, keeps_ignored=False),
    "folder": Writer("class folders", "classification", write_class_folders, _is_folder_name),
    "multi-label": Writer(
        "CSV multi-label", "classification", write_multi_label, _is_line, labels=MULTI
    ),
    "numbers": Writer("CSV numbers", "regression", write_numbers, bool),
}


def fitting_writers(task: str, labels: str) -> list[str]:
    """Return the names of the formats that hold datasets for a task."""
    return [
        name
        for name, writer in WRITERS.items()
        if writer.task == task and (writer.labels == MULTI) == (labels == MULTI)
    ]


def task_of(to: str, task: str | None) -> str | None:
    """Return the task that a source must be for: numbers are read only if they are asked for."""
    return WRITERS[to].task if task is None and WRITERS[to].task == "regression" else task


def check_writer(to: str, task: str | None, labels: str = SINGLE) -> None:
    """Check that a format is written, and holds datasets for a task.

    Args:
        to: name of the format.
        task: the task of the dataset; that of the format, if it is not known.
        labels: the kind of labels of a dataset for classification.

    Raises:
        ValueError: if it does not.
    """
    check_choice("to", to, list(WRITERS))
    check_labels(labels)
    writer = WRITERS[to]
    task = task or writer.task
    if to not in (fitting := fitting_writers(task, labels)):
        raise ValueError(
            f"A dataset for {_purpose(task, labels)} can be written as "
            f"{', '.join(fitting) or 'nothing'}. Received: to={to!r}, which is for "
            f"{_purpose(writer.task, writer.labels)}."
        )


def _purpose(task: str, labels: str) -> str:
    return f"{task} with labels={labels!r}" if labels == MULTI else task


def write_dataset(
    destination: Path,
    to: str,
    splits: Mapping[str, Any],
    images: ImageFiles,
    problems: Sequence[Problem] = (),
) -> WrittenDataset:
    """Write a dataset, and read its annotations back to be sure of them.

    Args:
        destination: a new or empty folder. It is written as a whole, or not at all.
        to: name of the format.
        splits: the splits, as `load_dataset` returns them.
        images: sizes and copies of the image files.
        problems: the problems of the source.

    Raises:
        ValueError: if the format cannot hold the names of the classes, or the folder cannot be
            written.
    """
    writer = WRITERS[to]
    class_names = next(iter(splits.values())).class_names
    if refused := [name for name in class_names if not writer.can_name(name)]:
        shown = ", ".join(map(repr, refused[:SHOWN_NAMES]))
        raise ValueError(
            f"The names of classes must be such that {writer.format} can hold them. Received: "
            f"{shown}. Rename these classes, or choose another format."
        )
    with new_folder(destination) as folder:
        notes = writer.write(folder, splits, images)
        _check_written(folder, writer, splits)
    boxes = sum(len(labels) for d in splits.values() for labels in _boxes(d, writer))
    return WrittenDataset(
        destination,
        to,
        writer.task,
        class_names,
        {split: len(dataset) for split, dataset in splits.items()},
        boxes,
        (*problems, *notes),
    )


def _check_written(folder: Path, writer: Writer, splits: Mapping[str, Any]) -> None:
    """Read the annotations back, and compare classes and splits."""
    task = writer.task if writer.task == "regression" else None  # which only it has to be told
    try:
        annotations = read_dataset(folder, task, labels=writer.labels)
    except ValueError as error:
        names = next(iter(splits.values())).class_names
        shown = ", ".join(names[:SHOWN_NAMES]) or "none"
        raise ValueError(
            f"The dataset cannot be written in the format {writer.format}, in which it could not "
            f"be read again. Received the classes or columns: {shown}. Rename them, choose another "
            "format, or pack the dataset (`cspdarknet data pack`)."
        ) from error
    wrong = [str(problem) for problem in annotations.problems if problem.stops]
    if not annotations.format.startswith(writer.format):
        wrong.append(f"it is read as {annotations.format}")
    declares = writer.task == "detection" or writer.labels == MULTI
    for split, dataset in splits.items():
        if _summary(annotations.splits.get(split, [])) != _expected(dataset, writer):
            wrong.append(f"the {split} split differs")
        if annotations.class_names != dataset.class_names and declares:
            wrong.append("the classes differ")
    if wrong:
        raise ValueError(
            f"The dataset cannot be written in the format {writer.format}, since it would be read "
            f"otherwise: {wrong[0]}. Rename its classes or columns, or choose another format."
        )


def _summary(images: Sequence[Any]) -> Counter[tuple[Any, ...]]:
    """Count the images by their annotations."""
    return Counter(_annotation(image) for image in images)


def _annotation(image: Any) -> tuple[Any, ...]:
    if isinstance(image, AnnotatedImage):
        return tuple(image.names)
    return tuple(image.values.items() if isinstance(image, NumberedImage) else image.class_names)


def _expected(dataset: Any, writer: Writer) -> Counter[tuple[Any, ...]]:
    names = dataset.class_names
    if writer.task == "regression":
        return Counter(tuple(zip(names, row, strict=True)) for row in dataset.rows)
    if writer.task == "classification":
        return Counter(dataset.classes_of(i) for i in range(len(dataset)))
    return Counter(tuple(names[i] for i in labels) for labels in _boxes(dataset, writer))


def _boxes(dataset: Any, writer: Writer) -> list[Any]:
    """Return the classes of the boxes of each image that are written."""
    if writer.task != "detection":
        return []
    if writer.keeps_ignored:
        return list(dataset.labels)
    return [k[~ignored] for k, ignored in zip(dataset.labels, dataset.ignored, strict=True)]
