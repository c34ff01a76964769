"""Loading of datasets for image regression, from tables of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import MAX_MEAN, MAX_STD, MIN_STD, MIN_STD_OF_MEAN
from cspdarknet.data.annotations import Annotations, NumberedImage
from cspdarknet.data.classification.find import checked_images
from cspdarknet.data.dataset import EvaluationSplit
from cspdarknet.data.formats.number_table import is_finite
from cspdarknet.data.problems import Problem
from cspdarknet.data.read import read_dataset
from cspdarknet.data.regression.dataset import RegressionDataset, RegressionSplits
from cspdarknet.data.sources import source_path
from cspdarknet.data.splits import check_validation_split, evaluation_split, set_aside

TASK = "regression"


def load_regression_dataset(
    data: Any,
    validation_split: float = 0.15,
    seed: int = 0,
    on_problem: str = "raise",
    format: str | None = None,
    images_folder: str | Path | None = None,
    targets: Sequence[str] | None = None,
) -> RegressionSplits:
    r"""Load a dataset for image regression: paths and numbers of its images, in splits.

    Without a validation split, a fraction of the training images is set aside.

    Args:
        data: a CSV file with a column of paths and columns of numbers, or a folder with one; a
            sequence of `(image, number)`, `(image, numbers)` or `(image, dict of numbers)`; a data
            frame of pandas or Polars; or a dict of these by split.
        validation_split: fraction of the images that is set aside, between 0 and 1.
        seed: random seed of that choice.
        on_problem: `"raise"` an error if images are missing, or numbers are missing or not finite;
            or `"fix"`: leave these images out, and list them in `problems`.
        format: name of the format; `None` to recognize it.
        images_folder: folder to write images that are not files to, such as those of a dataset in
            memory; `None` for a temporary one, which is removed at exit.
        targets: names of the columns of the numbers to predict; `None` for all columns of numbers.

    Returns:
        `RegressionSplits`.

    Raises:
        ValueError: if no format fits, there are no images or no such columns, a target is the same
            number in all images of a split, or there are problems and `on_problem` is `"raise"`.

    Example:
        >>> for i in range(4):
        ...     Image.new("RGB", (8, 8)).save(f"{i}.png")
        >>> rows = [f"{i}.png,{i / 2}" for i in range(4)]
        >>> _ = Path("pets.csv").write_text("\n".join(["path,age", *rows]))
        >>> splits = load_regression_dataset("pets.csv", validation_split=0.5)
        >>> splits.train.target_names, splits.train.targets.shape
        (('age',), (2, 1))
    """
    check_validation_split(validation_split)
    path, datasets, problems, read = _load(data, targets, on_problem, format, images_folder)
    splits = training_splits(path, datasets, validation_split, seed)
    return RegressionSplits(
        splits["train"], splits["validation"], splits.get("test"), problems, read.format
    )


def load_regression_split(
    data: Any,
    targets: Sequence[str],
    on_problem: str = "fix",
    format: str | None = None,
    images_folder: str | Path | None = None,
) -> EvaluationSplit[RegressionDataset]:
    """Load the images to evaluate a regressor on: the test, else the validation split, else all.

    Args:
        data: as for `load_regression_dataset`.
        targets: the targets of the regressor, in the order of its outputs.
        on_problem: `"fix"` or `"raise"`, as for `load_regression_dataset`.
        format: name of the format; `None` to recognize it.
        images_folder: as for `load_regression_dataset`.

    Returns:
        `EvaluationSplit`.

    Raises:
        ValueError: if there are no images, a target is missing, or there are problems and
            `on_problem` is `"raise"`.
    """
    path, datasets, problems, _ = _load(data, targets, on_problem, format, images_folder)
    split = evaluation_split({name: dataset.paths for name, dataset in datasets.items()})
    if split not in datasets:
        raise ValueError(f"{path} has no images to evaluate on.")
    return EvaluationSplit("all" if split == "train" else split, datasets[split], problems)


def training_splits(
    path: Path, datasets: Mapping[str, RegressionDataset], fraction: float, seed: int
) -> dict[str, RegressionDataset]:
    """Return the splits of a training: a fraction is set aside where there is no validation split.

    Raises:
        ValueError: if there are too few images, or a target is the same number in all of a split.
    """
    splits = dict(datasets)
    if "train" not in splits:
        raise ValueError(f"{path} has no images to train on.")
    if "validation" not in splits:
        splits |= _with_validation(path, splits["train"], fraction, seed)
    for split in ("train", "validation"):
        check_varied(f"{split} split of {path}", splits[split])
    check_range(splits["train"])
    return splits


def _with_validation(
    path: Path, dataset: RegressionDataset, fraction: float, seed: int
) -> dict[str, RegressionDataset]:
    if len(dataset) < 4:
        raise ValueError(
            f"{path} must have at least 4 images, so that some are set aside for validation, or a "
            f"validation split. Received: {len(dataset)}"
        )
    # Two at least, so that the numbers of the validation split vary.
    fraction = max(fraction, 2 / len(dataset))
    groups = np.zeros(len(dataset), int)
    train, validation = set_aside(dataset, groups, fraction, seed)
    return {"train": train, "validation": validation}


def check_varied(what: str, dataset: RegressionDataset) -> None:
    """Check that each target differs between images.

    Raises:
        ValueError: if one is the same number in all of them.
    """
    for name, numbers in zip(dataset.target_names, dataset.targets.T, strict=True):
        if numbers.min() == numbers.max():
            raise ValueError(
                f"Each target must differ between the images of a split. Received: {name} = "
                f"{numbers[0]:g} in all {len(numbers)} images of the {what}: leave the target out "
                "(`--targets`, in Python targets=[...]), or add images."
            )


def check_range(dataset: RegressionDataset) -> None:
    """Check that a network, which computes in float32, can tell the numbers apart.

    Raises:
        ValueError: if it cannot.
    """
    for name, numbers in zip(dataset.target_names, dataset.targets.T, strict=True):
        if np.abs(numbers).max() > MAX_MEAN or not MIN_STD <= numbers.std() <= MAX_STD:
            raise ValueError(
                f"Numbers must have a standard deviation from {MIN_STD:g} to {MAX_STD:g}. "
                f"Received: {name} from {numbers.min():g} to {numbers.max():g}: give it in another "
                "unit."
            )
        if numbers.std() < MIN_STD_OF_MEAN * abs(numbers.mean()):
            raise ValueError(
                "Numbers must differ by more than the digits of float32. Received: "
                f"{name} around {numbers.mean():.10g}, with a standard deviation of "
                f"{numbers.std():.3g}: subtract a constant from it."
            )


def numbered_datasets(
    path: Path,
    annotations: Annotations[NumberedImage],
    targets: Sequence[str] | None,
    on_problem: str,
) -> tuple[dict[str, RegressionDataset], list[Problem]]:
    """Return the splits that have images with all numbers, and the problems.

    Args:
        path: the dataset.
        annotations: its annotations.
        targets: names of the columns of the targets; `None` for all columns of numbers.
        on_problem: `"raise"` or `"fix"`.

    Raises:
        ValueError: if a column is missing, or there are problems and `on_problem` is `"raise"`.
    """
    names = _target_names(path, annotations, targets)
    usable: dict[str, list[NumberedImage]] = {}
    problems = list(annotations.problems)
    for split, images in annotations.splits.items():
        for image in images:
            if problem := _problem_of(image, names):
                problems.append(problem)
            else:
                usable.setdefault(split, []).append(image)
    complete = replace(annotations, splits=usable, problems=problems)
    splits, problems = checked_images(path, complete, on_problem)
    return {split: _dataset(images, names) for split, images in splits.items()}, problems


def _load(
    data: Any,
    targets: Sequence[str] | None,
    on_problem: str,
    format: str | None,
    images_folder: str | Path | None,
) -> tuple[Path, dict[str, RegressionDataset], tuple[Problem, ...], Annotations[NumberedImage]]:
    path = source_path(data)
    annotations = read_dataset(data, TASK, format, images_folder)
    datasets, problems = numbered_datasets(path, annotations, targets, on_problem)
    return path, datasets, tuple(problems), annotations


def _target_names(
    path: Path, annotations: Annotations[NumberedImage], targets: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the names of the targets, all of which are columns."""
    if isinstance(targets, str):
        raise ValueError(f"`targets` must be a list of columns. Received: targets={targets!r}")
    found = annotations.class_names or ()
    names = tuple(found if targets is None else targets)
    images = [image for items in annotations.splits.values() for image in items]
    columns = dict.fromkeys(column for image in images for column in image.values)
    missing = [name for name in names if name not in columns]
    if not names or len(set(names)) < len(names) or (columns and missing):
        raise ValueError(
            "`targets` must be different columns of the dataset. Received: "
            f"{', '.join(names) or 'none'}; {path} has the columns {', '.join(columns) or 'none'}, "
            f"of which these have numbers: {', '.join(found) or 'none'}."
        )
    return names


def _problem_of(image: NumberedImage, names: Sequence[str]) -> Problem | None:
    for name in names:
        text = image.values.get(name, "")
        if not is_finite(text):
            reason = f"{name} must be a finite number, such as 3.7. Received: {text[:80]!r}"
            return Problem("missing number", image.table, reason, image.where)
    return None


def _dataset(images: Sequence[NumberedImage], names: Sequence[str]) -> RegressionDataset:
    numbers = [[float(image.values[name]) for name in names] for image in images]
    paths = tuple(image.path for image in images)
    return RegressionDataset(tuple(names), paths, np.array(numbers, "float64"))
