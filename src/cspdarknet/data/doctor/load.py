"""Datasets as a training would see them, with the reason for which it would stop."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cspdarknet._labels import ORDINAL, SINGLE
from cspdarknet.data.annotations import Annotations
from cspdarknet.data.classification import find as classification
from cspdarknet.data.classification.classes import ordered_classes
from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.dataset import ImageDataset
from cspdarknet.data.detection import find as detection
from cspdarknet.data.detection.checks import SizeOf
from cspdarknet.data.problems import Problem
from cspdarknet.data.regression import find as regression
from cspdarknet.images import image_size

# They decide which images are set aside, which does not matter here.
VALIDATION_SPLIT, SEED = 0.15, 0


@dataclass(frozen=True)
class InspectedDataset:
    """A dataset as a training would see it.

    Attributes:
        source: the dataset.
        task: `"classification"`, `"detection"` or `"regression"`.
        format: name of the format, and why it was recognized.
        class_names: names of the classes, in the order of the class ids.
        splits: images and usable annotations of each split that has images: `"train"`,
            `"validation"` and `"test"`. What a training sets aside for validation is in `"train"`.
        problems: what is wrong in the files.
        error: why the images cannot be trained on, even if problems are fixed; empty if they can.
        labels: the kind of labels of a dataset for classification.
    """

    source: str
    task: str
    format: str
    class_names: tuple[str, ...]
    splits: Mapping[str, ImageDataset] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    error: str = ""
    labels: str = SINGLE


def image_paths(annotations: Annotations[Any]) -> list[Path]:
    """Return the images of all splits, each once."""
    images = (image for images in annotations.splits.values() for image in images)
    return list(dict.fromkeys(image.path for image in images))


def load_annotated(
    source: Path,
    annotations: Annotations[Any],
    size_of: SizeOf = image_size,
    damaged: Collection[Path] = (),
    labels: str = SINGLE,
) -> InspectedDataset:
    """Return the dataset of annotations that `read_dataset` has read.

    Args:
        source: the dataset.
        annotations: its annotations.
        size_of: function that returns width and height of an image file.
        damaged: images that cannot be decoded; a training skips them.
        labels: the kind of labels, of a dataset for classification.

    Raises:
        ValueError: if two classes have the same name.
    """
    if annotations.task == "classification":
        return _classification(source, annotations, labels, frozenset(damaged))
    if annotations.task == "regression":
        return _regression(source, annotations, frozenset(damaged))
    return _detection(source, annotations, size_of, frozenset(damaged))


def _detection(
    source: Path,
    annotations: Annotations[Any],
    size_of: SizeOf,
    damaged: frozenset[Path],
) -> InspectedDataset:
    datasets, problems = detection.checked_datasets(
        source, annotations, on_problem="fix", size_of=size_of
    )
    names = next((dataset.class_names for dataset in datasets.values()), ())
    splits = {split: _without(dataset, damaged) for split, dataset in datasets.items()}
    error = _first_error(
        lambda: _check_splits(splits),
        lambda: detection.with_validation(source, splits, VALIDATION_SPLIT, SEED),
    )
    return InspectedDataset(
        str(source),
        annotations.task,
        annotations.format,
        names or annotations.class_names or (),
        {split: dataset for split, dataset in splits.items() if len(dataset)},
        tuple(problems),
        error,
    )


def _classification(
    source: Path,
    annotations: Annotations[Any],
    labels: str,
    damaged: frozenset[Path],
) -> InspectedDataset:
    images, problems = classification.checked_images(source, annotations, "fix")
    names = sorted({name for items in images.values() for i in items for name in i.class_names})
    if labels == ORDINAL:
        with contextlib.suppress(ValueError):  # an unknown order is the `error` below
            names = list(ordered_classes(source, images, annotations.class_names, labels))
    all_of_them = {
        split: classification.labeled_dataset(items, names) for split, items in images.items()
    }
    splits = {split: _without(dataset, damaged) for split, dataset in all_of_them.items()}
    error = _first_error(
        lambda: _check_splits(splits),
        lambda: ordered_classes(source, images, annotations.class_names, labels),
        lambda: classification.with_validation(images, names, VALIDATION_SPLIT, SEED),
        lambda: _check_classes(splits["train"]),
    )
    return InspectedDataset(
        str(source),
        annotations.task,
        annotations.format,
        tuple(names),
        {split: dataset for split, dataset in splits.items() if len(dataset)},
        tuple(problems),
        error,
        labels,
    )


def _regression(
    source: Path, annotations: Annotations[Any], damaged: frozenset[Path]
) -> InspectedDataset:
    datasets, problems = regression.numbered_datasets(source, annotations, None, "fix")
    splits = {split: _without(dataset, damaged) for split, dataset in datasets.items()}
    error = _first_error(
        lambda: _check_splits(splits),
        lambda: regression.training_splits(source, splits, VALIDATION_SPLIT, SEED),
    )
    return InspectedDataset(
        str(source),
        annotations.task,
        annotations.format,
        annotations.class_names or (),
        {split: dataset for split, dataset in splits.items() if len(dataset)},
        tuple(problems),
        error,
    )


def _without(dataset: Any, damaged: frozenset[Path]) -> Any:
    if damaged.isdisjoint(dataset.paths):
        return dataset
    return dataset.take([i for i, path in enumerate(dataset.paths) if path not in damaged])


def _first_error(*checks: Callable[[], object]) -> str:
    for check in checks:
        try:
            check()
        except ValueError as error:
            return str(error)
    return ""


def _check_splits(splits: Mapping[str, ImageDataset]) -> None:
    for split in ("train", "validation"):
        if split in splits and not len(splits[split]):
            raise ValueError(f"The {split} split needs an image that can be decoded.")


def _check_classes(train: ClassificationDataset) -> None:
    pairs = zip(train.class_names, train.counts, strict=True)
    if empty := [name for name, count in pairs if not count]:
        raise ValueError(
            f"Each class needs a training image that can be decoded. Without one: "
            f"{', '.join(empty)}."
        )
