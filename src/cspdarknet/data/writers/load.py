"""A dataset as it is written again: checked, in the splits that it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._labels import MULTI, SINGLE, check_labels
from cspdarknet.data.annotations import AnnotatedImage, Annotations, MultiLabelImage, NumberedImage
from cspdarknet.data.classification.find import checked_images, labeled_dataset
from cspdarknet.data.detection.checks import size_or_problem
from cspdarknet.data.detection.find import checked_datasets
from cspdarknet.data.problems import Problem, check_problems
from cspdarknet.data.read import read_dataset
from cspdarknet.data.sources import source_path
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.tables import TableDataset


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset of any task.

    Attributes:
        task: `"classification"`, `"detection"` or `"regression"`.
        format: name of its format, and why it was recognized.
        splits: its splits, a `ClassificationDataset`, `MultiLabelDataset`, `DetectionDataset` or
            `TableDataset` each.
        problems: what was wrong in its files.
        declared: the declared classes in their order; `None` where files declare none.
        labels: `"multi"` if an image may have any number of classes, else `"single"`.
    """

    task: str
    format: str
    splits: dict[str, Any]
    problems: list[Problem]
    declared: tuple[str, ...] | None = None
    labels: str = SINGLE


def load_dataset(
    source: Any,
    task: str | None,
    format: str | None,
    on_problem: str,
    images: ImageFiles,
    labels: str = SINGLE,
) -> LoadedDataset:
    """Read and check a dataset of any task, without setting a validation split aside.

    Args:
        source: as for `read_dataset`.
        task: as for `read_dataset`.
        format: as for `read_dataset`.
        on_problem: `"raise"` or `"fix"`.
        images: the sizes of the image files.
        labels: `"multi"` for images of any number of classes.

    Raises:
        ValueError: if it cannot be read, it has no images, or there are problems and `on_problem`
            is `"raise"`.
    """
    annotations = read_dataset(source, task, format, labels=check_labels(labels))
    if annotations.task != "classification" and labels != SINGLE:
        raise ValueError(
            f"`labels` is for classification. Received: {labels=} for a dataset for "
            f"{annotations.task}: leave it out."
        )
    load = _load_annotated if annotations.task == "detection" else _load_images
    splits, problems = load(source_path(source), annotations, on_problem, images)
    if not splits:
        raise ValueError(f"{source_path(source)} has no images with annotations.")
    return LoadedDataset(
        annotations.task,
        annotations.format,
        splits,
        problems,
        annotations.class_names,
        MULTI if labels == MULTI else SINGLE,  # ordinal labels are single ones
    )


def _load_annotated(
    path: Path, annotations: Annotations[AnnotatedImage], on_problem: str, images: ImageFiles
) -> tuple[dict[str, Any], list[Problem]]:
    class_names = annotations.class_names
    if class_names is None:
        every = [image for split in annotations.splits.values() for image in split]
        class_names = tuple(sorted({name for image in every for name in image.names} - {""}))
    return checked_datasets(path, annotations, class_names, on_problem, images.size)


def _load_images(
    path: Path, annotations: Annotations[Any], on_problem: str, images: ImageFiles
) -> tuple[dict[str, Any], list[Problem]]:
    """Load images that have classes or numbers, without boxes."""
    splits, problems = checked_images(path, annotations, on_problem)
    usable: dict[str, list[Any]] = {}
    for split, items in splits.items():
        for image in items:
            size = size_or_problem(image.path, images.size)
            if isinstance(size, Problem):
                problems.append(size)
            else:
                usable.setdefault(split, []).append(image)
    if on_problem == "raise":
        check_problems(path, problems)
    every = [image for items in usable.values() for image in items]
    if annotations.task == "regression":
        columns = tuple(dict.fromkeys(column for image in every for column in image.values))
        return {split: _table(items, columns) for split, items in usable.items()}, problems
    names = sorted({name for image in every for name in image.class_names})
    is_multi_label = any(isinstance(image, MultiLabelImage) for image in every)
    if is_multi_label:  # there may be no image of a declared class
        names = list(dict.fromkeys([*(annotations.class_names or ()), *names]))
    return {split: labeled_dataset(items, names) for split, items in usable.items()}, problems


def _table(images: Sequence[NumberedImage], columns: tuple[str, ...]) -> TableDataset:
    rows = tuple(tuple(image.values.get(c, "") for c in columns) for image in images)
    return TableDataset(columns, tuple(image.path for image in images), rows)
