"""Loading of datasets for image classification, from each supported format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cspdarknet.data.annotations import Annotations, LabeledImage
from cspdarknet.data.classification.dataset import ClassificationDataset, ClassificationSplits
from cspdarknet.data.dataset import EvaluationSplit
from cspdarknet.data.formats.class_folders import read_class_folders
from cspdarknet.data.formats.csv_table import read_csv_table
from cspdarknet.data.formats.reading import read_annotations
from cspdarknet.data.splits import check_validation_split, evaluation_split, set_aside

READERS = (read_csv_table, read_class_folders)
FORMATS = "a folder with a subfolder of images for each class, or a CSV file"


def load_classification_dataset(
    data: str | Path, validation_split: float = 0.15, seed: int = 0
) -> ClassificationSplits:
    """Load a dataset for image classification: paths and classes of its images, in splits.

    These formats are read:

    - A folder with a subfolder of images for each class.
    - A folder with the subfolders `train`, `validation` (or `val`) and optionally `test`, each of
      that form.
    - A CSV file with the columns `path` (relative to the file), `label`, and optionally `split`.

    Without a validation split, a fraction of the training images of each class is set aside.

    Args:
        data: the folder or CSV file.
        validation_split: fraction of each class that is set aside, between 0 and 1.
        seed: random seed of that choice.

    Returns:
        `ClassificationSplits`. The classes are those of the training split, sorted by name.

    Raises:
        ValueError: if no format fits, if there are no images or fewer than two classes, or if
            another split has classes without training images.

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
    path = Path(data)
    annotations = _read(path)
    class_names = _class_names(path, annotations)
    datasets = {
        split: _dataset(images, class_names)
        for split, images in annotations.splits.items()
        if images
    }
    train, validation = datasets["train"], datasets.get("validation")
    if validation is None:
        train, validation = set_aside(train, train.labels, validation_split, seed)
    return ClassificationSplits(
        train, validation, datasets.get("test"), tuple(annotations.problems)
    )


def load_classification_split(
    data: str | Path, class_names: Sequence[str]
) -> EvaluationSplit[ClassificationDataset]:
    """Load the images to evaluate a classifier on: the test, else the validation split, else all.

    Args:
        data: the folder or CSV file, as for `load_classification_dataset`.
        class_names: the classes of the classifier, in the order of their ids.

    Returns:
        `EvaluationSplit`.

    Raises:
        ValueError: if there are no images, or some are of other classes.
    """
    path = Path(data)
    annotations = _read(path)
    split = evaluation_split(annotations.splits)
    images = annotations.splits.get(split)
    if not images:
        raise ValueError(f"{path} has no images to evaluate on. Expected {FORMATS}.")
    if unknown := sorted({image.class_name for image in images} - set(class_names)):
        raise ValueError(
            f"{path} has images of classes that the model does not know: {', '.join(unknown)}. "
            f"The model knows {', '.join(class_names)}."
        )
    return EvaluationSplit(
        "all" if split == "train" else split,
        _dataset(images, class_names),
        tuple(annotations.problems),
    )


def _read(path: Path) -> Annotations[LabeledImage]:
    return read_annotations(path, READERS, f"an image classification dataset. Expected {FORMATS}.")


def _class_names(path: Path, annotations: Annotations[LabeledImage]) -> tuple[str, ...]:
    """Return the classes of the training split, sorted by name."""
    classes = {
        split: {image.class_name for image in images}
        for split, images in annotations.splits.items()
    }
    names = sorted(classes.get("train", ()))
    if not names:
        raise ValueError(f"{path} has no images to train on. Expected {FORMATS}.")
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


def _dataset(images: Sequence[LabeledImage], class_names: Sequence[str]) -> ClassificationDataset:
    ids = {name: i for i, name in enumerate(class_names)}
    labels = np.array([ids[image.class_name] for image in images], "int32")
    return ClassificationDataset(tuple(class_names), tuple(image.path for image in images), labels)
