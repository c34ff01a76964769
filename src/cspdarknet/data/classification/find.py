"""Loading of datasets for image classification, from each supported format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet.data.annotations import Annotations, LabeledImage
from cspdarknet.data.classification.dataset import ClassificationDataset, ClassificationSplits
from cspdarknet.data.dataset import EvaluationSplit
from cspdarknet.data.files import is_file
from cspdarknet.data.model_classes import check_model_classes
from cspdarknet.data.problems import ON_PROBLEM, Problem, check_problems
from cspdarknet.data.read import read_dataset
from cspdarknet.data.repeated import drop_repeated
from cspdarknet.data.sources import source_path
from cspdarknet.data.splits import (
    SPLIT_NAMES,
    check_validation_split,
    evaluation_split,
    set_aside,
)


def load_classification_dataset(
    data: Any,
    validation_split: float = 0.15,
    seed: int = 0,
    on_problem: str = "raise",
    format: str | None = None,
    images_folder: str | Path | None = None,
) -> ClassificationSplits:
    """Load a dataset for image classification: paths and classes of its images, in splits.

    The format is recognized; `docs/data.md` lists the formats: class folders and CSV files.

    Without a validation split, a fraction of the training images of each class is set aside.

    Args:
        data: the folder or CSV file, or another source that `read_dataset` takes.
        validation_split: fraction of each class that is set aside, between 0 and 1.
        seed: random seed of that choice.
        on_problem: `"raise"` an error if images or annotations are wrong; or `"fix"`: leave them
            out, and list them in `problems`.
        format: name of the format; `None` to recognize it.
        images_folder: folder to write images that are not files to, such as those of a dataset in
            memory; `None` for a temporary one, which is removed at exit.

    Returns:
        `ClassificationSplits`. The classes are those of the training split, sorted by name;
        or in the order in which a dataset that is not a folder declares them.

    Raises:
        ValueError: if no format fits, if there are no images or fewer than two classes, if
            another split has classes without training images, or if there are problems and
            `on_problem` is `"raise"`.

    Example:
        >>> for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        ...     path = Path(f"pets/{name}.png")
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     Image.new("RGB", (8, 8)).save(path)
        >>> splits = load_classification_dataset("pets", validation_split=0.5)
        >>> splits.class_names, len(splits.train), len(splits.validation)
        (('cat', 'dog'), 2, 2)
    """
    check_validation_split(validation_split)
    path = source_path(data)
    annotations = read_dataset(data, "classification", format, images_folder)
    images, problems = checked_images(path, annotations, on_problem)
    splits = with_validation(path, images, validation_split, seed, annotations.class_names)
    return ClassificationSplits(
        splits["train"],
        splits["validation"],
        splits.get("test"),
        tuple(problems),
        annotations.format,
    )


def load_classification_split(
    data: Any,
    class_names: Sequence[str],
    on_problem: str = "fix",
    format: str | None = None,
    images_folder: str | Path | None = None,
) -> EvaluationSplit[ClassificationDataset]:
    """Load the images to evaluate a classifier on: the test, else the validation split, else all.

    Args:
        data: the folder or CSV file, as for `load_classification_dataset`.
        class_names: the classes of the classifier, in the order of their ids.
        on_problem: `"fix"` or `"raise"`, as for `load_classification_dataset`.
        format: name of the format; `None` to recognize it.
        images_folder: folder to write images that are not files to, such as those of a dataset in
            memory; `None` for a temporary one, which is removed at exit.

    Returns:
        `EvaluationSplit`.

    Raises:
        ValueError: if there are no images, some are of other classes, or there are problems and
            `on_problem` is `"raise"`.
    """
    path = source_path(data)
    annotations = read_dataset(data, "classification", format, images_folder)
    splits, problems = checked_images(path, annotations, on_problem)
    split = evaluation_split(splits)
    images = splits.get(split)
    if not images:
        raise ValueError(f"{path} has no images to evaluate on.")
    found = sorted({image.class_name for image in images})
    check_model_classes(path, class_names, found)
    if unknown := [name for name in found if name not in class_names]:
        raise ValueError(
            f"{path} has images of classes that the model does not know: {', '.join(unknown)}. "
            f"The model knows {', '.join(class_names)}."
        )
    return EvaluationSplit(
        "all" if split == "train" else split, labeled_dataset(images, class_names), tuple(problems)
    )


def with_validation(
    path: Path,
    images: Mapping[str, Sequence[LabeledImage]],
    validation_split: float,
    seed: int,
    declared: Sequence[str] | None = None,
) -> dict[str, ClassificationDataset]:
    """Return the splits of a training: a fraction is set aside where there is no validation split.

    Raises:
        ValueError: if there are fewer than two classes, another split has classes without training
            images, or there are too few images to set some aside.
    """
    class_names = _class_names(path, images, declared)
    splits = {split: labeled_dataset(items, class_names) for split, items in images.items()}
    if "validation" not in splits:
        train = splits["train"]
        splits["train"], splits["validation"] = set_aside(
            train, train.labels, validation_split, seed
        )
    return splits


def labeled_dataset(
    images: Sequence[LabeledImage], class_names: Sequence[str]
) -> ClassificationDataset:
    """Return the dataset of labeled images, all of which are of the given classes."""
    ids = {name: i for i, name in enumerate(class_names)}
    labels = np.array([ids[image.class_name] for image in images], "int32")
    return ClassificationDataset(tuple(class_names), tuple(image.path for image in images), labels)


def checked_images(
    path: Path, annotations: Annotations[LabeledImage], on_problem: str
) -> tuple[dict[str, list[LabeledImage]], list[Problem]]:
    """Return the splits that have images, without missing and repeated ones, and the problems."""
    check_choice("on_problem", on_problem, ON_PROBLEM)
    splits = {
        split: annotations.splits[split] for split in SPLIT_NAMES if annotations.splits.get(split)
    }
    splits, repeated = drop_repeated(splits)
    missing = {i.path for images in splits.values() for i in images if not is_file(i.path)}
    splits = {
        split: [i for i in images if i.path not in missing] for split, images in splits.items()
    }
    problems = annotations.problems + repeated
    problems += [
        Problem("missing image", path, "there is no such image") for path in sorted(missing)
    ]
    if on_problem == "raise":
        check_problems(path, problems)
    return {split: images for split, images in splits.items() if images}, problems


def _class_names(
    path: Path,
    splits: Mapping[str, Sequence[LabeledImage]],
    declared: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Return the classes of the training split, in the declared order, or sorted by name."""
    classes = {split: {image.class_name for image in images} for split, images in splits.items()}
    present = classes.get("train", set())
    names = [name for name in declared or sorted(present) if name in present]
    if not names:
        raise ValueError(f"{path} has no images to train on.")
    if len(names) == 1:
        raise ValueError(
            f"{path} must have at least two classes to train on. Received: a single class, "
            f"{names[0]!r}."
        )
    for split, present in classes.items():
        if unknown := sorted(present.difference(names)):
            raise ValueError(
                f"{path} has classes in the {split} split without training images: "
                f"{', '.join(unknown)}."
            )
    return tuple(names)
