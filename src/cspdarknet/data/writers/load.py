"""A dataset as it is written again: checked, in the splits that it has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet.data.annotations import AnnotatedImage, Annotations, LabeledImage
from cspdarknet.data.classification.find import checked_images, labeled_dataset
from cspdarknet.data.detection.checks import size_or_problem
from cspdarknet.data.detection.find import checked_datasets
from cspdarknet.data.problems import Problem, check_problems
from cspdarknet.data.read import read_dataset
from cspdarknet.data.sources import source_path
from cspdarknet.data.writers.images import ImageFiles


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset of either task.

    Attributes:
        task: `"classification"` or `"detection"`.
        format: name of its format, and why it was recognized.
        splits: its splits, a `ClassificationDataset` or `DetectionDataset` each.
        problems: what was wrong in its files.
        declared: the declared classes in their order; `None` where files declare none.
    """

    task: str
    format: str
    splits: dict[str, Any]
    problems: list[Problem]
    declared: tuple[str, ...] | None = None


def load_dataset(
    source: Any, task: str | None, format: str | None, on_problem: str, images: ImageFiles
) -> LoadedDataset:
    """Read and check a dataset of either task, without setting a validation split aside.

    Args:
        source: as for `read_dataset`.
        task: as for `read_dataset`.
        format: as for `read_dataset`.
        on_problem: `"raise"` or `"fix"`.
        images: the sizes of the image files.

    Raises:
        ValueError: if it cannot be read, it has no images, or there are problems and `on_problem`
            is `"raise"`.
    """
    annotations = read_dataset(source, task, format)
    if annotations.task == "regression":
        raise ValueError(
            "A dataset of numbers cannot be written in another form: datasets of classes and boxes "
            f"can. Received: {source_path(source)}, {annotations.format}. Its CSV file has the "
            "splits in a column `split`."
        )
    load = _load_labeled if annotations.task == "classification" else _load_annotated
    splits, problems = load(source_path(source), annotations, on_problem, images)
    if not splits:
        raise ValueError(f"{source_path(source)} has no images with annotations.")
    return LoadedDataset(
        annotations.task, annotations.format, splits, problems, annotations.class_names
    )


def _load_annotated(
    path: Path, annotations: Annotations[AnnotatedImage], on_problem: str, images: ImageFiles
) -> tuple[dict[str, Any], list[Problem]]:
    class_names = annotations.class_names
    if class_names is None:
        every = [image for split in annotations.splits.values() for image in split]
        class_names = tuple(sorted({name for image in every for name in image.names} - {""}))
    return checked_datasets(path, annotations, class_names, on_problem, images.size)


def _load_labeled(
    path: Path, annotations: Annotations[LabeledImage], on_problem: str, images: ImageFiles
) -> tuple[dict[str, Any], list[Problem]]:
    splits, problems = checked_images(path, annotations, on_problem)
    usable: dict[str, list[LabeledImage]] = {}
    for split, items in splits.items():
        for image in items:
            size = size_or_problem(image.path, images.size)
            if isinstance(size, Problem):
                problems.append(size)
            else:
                usable.setdefault(split, []).append(image)
    if on_problem == "raise":
        check_problems(path, problems)
    names = sorted({image.class_name for items in usable.values() for image in items})
    datasets = {split: labeled_dataset(items, names) for split, items in usable.items()}
    return datasets, problems
