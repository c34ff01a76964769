"""New splits of a dataset, stratified by class, with related images in one split."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice, check_count, is_number
from cspdarknet._labels import SINGLE
from cspdarknet.data.splits import SPLIT_NAMES
from cspdarknet.data.writers.assign import assign
from cspdarknet.data.writers.folder import check_destination
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.load import load_dataset
from cspdarknet.data.writers.write import (
    WRITERS,
    WrittenDataset,
    check_writer,
    fitting_writers,
    task_of,
    write_dataset,
)

FOLDER = "folder"
STRATEGIES = ("class", "random")


def split_dataset(
    source: Any,
    destination: str | Path,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    by: str = "class",
    group: str | None = None,
    to: str | None = None,
    task: str | None = None,
    format: str | None = None,
    on_problem: str = "raise",
    link: bool = False,
    labels: str = SINGLE,
) -> WrittenDataset:
    """Write a dataset with new splits; splits that it has are put together first.

    The splits depend on the names of the images, their classes and the seed only. A class with
    enough images, or groups of them, is in every split.

    Args:
        source: the dataset: everything that `read_dataset` takes.
        destination: a new or empty folder outside the source. It is written as a whole, or not at
            all.
        fractions: fractions of the images for training, validation and test, of sum 1. A fraction
            of 0, or a missing third one, gives no such split.
        seed: random seed of the choice.
        by: `"class"`: the same fraction of each class; `"random"`: regardless of classes, as always
            for numbers.
        group: images of one group stay in one split: `"folder"` for those of one folder; or a
            regular expression that is searched in the name of each file: the text that it matches,
            or that of its parentheses, names the group. Use it for frames of one video, or images
            of one patient.
        to: the format, as for `convert_dataset`; `None` for that of the source, or the one that is
            most like it.
        task: `"classification"`, `"detection"` or `"regression"`, for a source that could be
            several.
        format: name of the format of the source; `None` to recognize it.
        on_problem: `"raise"` or `"fix"`, as for `convert_dataset`.
        link: whether to make hard links to the images instead of copies, where the file system can.
        labels: `"multi"` for images of any number of classes.

    Returns:
        `WrittenDataset`.

    Raises:
        ValueError: if an argument or the source cannot be used, a file name does not match `group`,
            a class would be in other splits but not in the training split, or the destination
            cannot be written.

    Example:
        >>> for name in ("cat", "dog"):
        ...     Path("pets", name).mkdir(parents=True)
        ...     for i in range(10):
        ...         Image.new("RGB", (8, 8)).save(f"pets/{name}/{i}.png")
        >>> split_dataset("pets", "split_pets").images
        {'train': 16, 'validation': 2, 'test': 2}
    """
    weights = _check_fractions(fractions)
    check_count("seed", seed, least=0)
    check_choice("by", by, STRATEGIES)
    if to is not None:
        check_writer(to, task, labels)
        task = task_of(to, task)
    path = check_destination(destination, source)
    images = ImageFiles(link)
    dataset = load_dataset(source, task, format, on_problem, images, labels)
    to = to or _similar(dataset.format, dataset.task, dataset.labels)
    check_writer(to, dataset.task, dataset.labels)
    everything = _joined(list(dataset.splits.values()))
    splits = _new_splits(everything, weights, seed, by, group)
    return write_dataset(path, to, splits, images, dataset.problems)


def _check_fractions(fractions: Sequence[float]) -> dict[str, float]:
    """Return the fraction of each split that is not empty."""
    values = list(fractions)
    if (
        len(values) not in (2, 3)
        or not all(is_number(value) and 0 <= value <= 1 for value in values)
        or values[0] == 0
        or abs(sum(values) - 1) > 1e-6
    ):
        raise ValueError(
            "`fractions` must be two or three numbers in 0..1 of sum 1, for training, validation "
            f"and test; the first must not be 0. Received: fractions={fractions!r}"
        )
    return {s: float(value) for s, value in zip(SPLIT_NAMES, values, strict=False) if value}


def _similar(format: str, task: str, labels: str) -> str:
    """Return the written format of a source's format, or the usual one of its task."""
    fitting = fitting_writers(task, labels)
    same = [to for to in fitting if format.startswith(f"{WRITERS[to].format}:")]
    return (same or fitting)[0]


def _joined(datasets: list[Any]) -> Any:
    """Return all images as one dataset, in the order of their names."""
    first = datasets[0]
    columns = {name: getattr(first, name) for name in vars(first) if name != "class_names"}
    for name, column in columns.items():
        parts = [getattr(dataset, name) for dataset in datasets]
        is_array = isinstance(column, np.ndarray)
        columns[name] = np.concatenate(parts) if is_array else tuple(v for p in parts for v in p)
    joined = type(first)(first.class_names, **columns)
    names = _relative_names(joined.paths)
    return joined.take(sorted(range(len(names)), key=lambda i: names[i]))


def _relative_names(paths: Sequence[Path]) -> list[str]:
    """Return the paths below the folder that all of them share."""
    absolute = [path.absolute() for path in paths]
    root = os.path.commonpath([path.parent for path in absolute])
    return [path.relative_to(root).as_posix() for path in absolute]


def _new_splits(
    dataset: Any, fractions: Mapping[str, float], seed: int, by: str, group: str | None
) -> dict[str, Any]:
    groups = _groups(dataset.paths, group)
    classes = [set(dataset.class_ids(i)) if by == "class" else set() for i in range(len(dataset))]
    chosen = assign(groups, classes, list(fractions.values()), seed)
    if by == "class" or group is not None:
        _check_training_classes(dataset, chosen)
    splits = {split: dataset.take(np.flatnonzero(chosen == i)) for i, split in enumerate(fractions)}
    return {split: images for split, images in splits.items() if len(images)}


def _groups(paths: Sequence[Path], group: str | None) -> list[str]:
    """Return the name of the group of each image; without groups, each is one of its own."""
    names = _relative_names(paths)
    if group is None:
        return names
    if group == FOLDER:
        return [name.rpartition("/")[0] for name in names]
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ValueError(
            f"`group` must be 'folder' or a regular expression. Received: {group!r} ({error})"
        ) from error
    matches = [pattern.search(path.name) for path in paths]
    if missing := [path.name for path, match in zip(paths, matches, strict=True) if not match]:
        raise ValueError(
            f"`group` must match the name of every image. Received: {group!r}, which does not "
            f"match {len(missing)} of {len(paths)} names, such as {missing[0]}."
        )
    return ["\0".join(m.groups("") or (m.group(),)) for m in matches if m]


def _check_training_classes(dataset: Any, chosen: np.ndarray) -> None:
    classes: Mapping[bool, set[int]] = {True: set(), False: set()}
    for i, split in enumerate(chosen.tolist()):
        classes[split == 0].update(dataset.class_ids(i))
    if missing := sorted(classes[False] - classes[True]):
        names = ", ".join(dataset.class_names[k] for k in missing)
        raise ValueError(
            f"Each class must have images in the training split. Received: all images of {names} "
            "are in groups that are needed for other splits. Choose smaller groups or another seed."
        )
