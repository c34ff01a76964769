"""Loading of datasets for image classification, from each supported format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet._labels import SINGLE, check_labels
from cspdarknet.data.annotations import Annotations, MultiLabelImage
from cspdarknet.data.classification.classes import Images, ordered_classes
from cspdarknet.data.classification.dataset import (
    ClassificationDataset,
    ClassificationSplits,
    MultiLabelDataset,
)
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
    labels: str = SINGLE,
    class_names: Sequence[str] | None = None,
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
        labels: `"single"`; `"multi"` for images of any number of classes; or `"ordinal"` for
            classes in order.
        class_names: all classes in the order of their ids, from low to high if they are ordinal;
            `None` for the order below.

    Returns:
        `ClassificationSplits`, of a `MultiLabelDataset` each with `labels="multi"`. The classes are
        those of the training split, in the order in which a dataset declares them, or sorted by
        name; ordinal ones as numbers.

    Raises:
        ValueError: if no format fits, if there are no images or fewer than two classes, if the
            order of ordinal classes is not known, if another split has classes without training
            images, or if there are problems and `on_problem` is `"raise"`.

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
    annotations = read_dataset(data, "classification", format, images_folder, check_labels(labels))
    images, problems = checked_images(path, annotations, on_problem)
    names = ordered_classes(path, images, annotations.class_names, labels, class_names)
    splits = with_validation(images, names, validation_split, seed)
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
    labels: str = SINGLE,
) -> EvaluationSplit[ClassificationDataset]:
    """Load the images to evaluate a classifier on: the test, else the validation split, else all.

    Args:
        data: the folder or CSV file, as for `load_classification_dataset`.
        class_names: the classes of the classifier, in the order of their ids.
        on_problem: `"fix"` or `"raise"`, as for `load_classification_dataset`.
        format: name of the format; `None` to recognize it.
        images_folder: folder to write images that are not files to, such as those of a dataset in
            memory; `None` for a temporary one, which is removed at exit.
        labels: the kind of labels of the classifier.

    Returns:
        `EvaluationSplit`.

    Raises:
        ValueError: if there are no images, some are of other classes, or there are problems and
            `on_problem` is `"raise"`.
    """
    path = source_path(data)
    annotations = read_dataset(data, "classification", format, images_folder, check_labels(labels))
    splits, problems = checked_images(path, annotations, on_problem)
    split = evaluation_split(splits)
    images = splits.get(split)
    if not images:
        raise ValueError(f"{path} has no images to evaluate on.")
    found = sorted({name for image in images for name in image.class_names})
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
    images: Mapping[str, Images], class_names: Sequence[str], validation_split: float, seed: int
) -> dict[str, ClassificationDataset]:
    """Return the splits of a training: a fraction is set aside where there is no validation split.

    Of images of several classes, it is the same fraction of each rarest class.

    Raises:
        ValueError: if there are too few images to set some aside.
    """
    splits = {split: labeled_dataset(items, class_names) for split, items in images.items()}
    if "validation" not in splits:
        train = splits["train"]
        splits["train"], splits["validation"] = set_aside(
            train, train.groups, validation_split, seed
        )
    return splits


def labeled_dataset(images: Images, class_names: Sequence[str]) -> ClassificationDataset:
    """Return the dataset of labeled images, all of which are of the given classes."""
    ids = {name: i for i, name in enumerate(class_names)}
    labels = [[ids[name] for name in image.class_names] for image in images]
    names, paths = tuple(class_names), tuple(image.path for image in images)
    if not (images and isinstance(images[0], MultiLabelImage)):
        return ClassificationDataset(names, paths, np.array([row[0] for row in labels], "int32"))
    is_of_class = np.zeros((len(images), len(names)), bool)
    for row, classes in zip(is_of_class, labels, strict=True):
        row[classes] = True
    return MultiLabelDataset(names, paths, is_of_class)


def checked_images(
    path: Path, annotations: Annotations[Any], on_problem: str
) -> tuple[dict[str, list[Any]], list[Problem]]:
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
