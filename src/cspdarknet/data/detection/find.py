"""Loading of datasets for object detection, from each supported format."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.dataset import EvaluationSplit
from cspdarknet.data.detection.checks import SizeOf, check_annotations
from cspdarknet.data.detection.dataset import DetectionDataset, DetectionSplits
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
from cspdarknet.images import image_size


def load_detection_dataset(
    data: Any,
    validation_split: float = 0.15,
    seed: int = 0,
    on_problem: str = "raise",
    class_names: Sequence[str] | None = None,
    format: str | None = None,
    images_folder: str | Path | None = None,
) -> DetectionSplits:
    """Load a dataset for object detection: paths and boxes of its images, in splits.

    The format is recognized; `docs/data.md` lists the formats.

    Images without boxes are kept as negative examples: an image with an XML file without objects,
    one that COCO's JSON lists without annotations, or one with an empty or missing label file in
    the YOLO format. An image without an XML file is not annotated yet, and is left out. Without a
    validation split, a fraction of the training images is set aside, stratified by class.

    Args:
        data: the folder or annotation file, or another source that `read_dataset` takes.
        validation_split: fraction of the images that is set aside, between 0 and 1.
        seed: random seed of that choice.
        on_problem: `"raise"` an error if boxes or images are wrong; or `"fix"` them: clip boxes to
            their image, leave out what cannot be used, and list all of it in `problems`.
        class_names: the classes in the order of their ids. By default these are the declared
            classes, or all names of the training split, sorted, where none are declared (VOC).
        format: name of the format; `None` to recognize it.
        images_folder: folder to write images that are not files to, such as those of a dataset in
            memory; `None` for a temporary one, which is removed at exit.

    Returns:
        `DetectionSplits`.

    Raises:
        ValueError: if no format fits, if two classes have the same name or id, if there are no
            boxes to train on, or if there are problems and `on_problem` is `"raise"`.

    Example:
        >>> for name in ("cells", "cells/labels", "cells/images"):
        ...     Path(name).mkdir()
        >>> for i in range(4):
        ...     Image.new("RGB", (80, 60)).save(f"cells/images/{i}.png")
        ...     _ = Path(f"cells/labels/{i}.txt").write_text("0 0.5 0.5 0.25 0.5")
        >>> _ = Path("cells/classes.txt").write_text("cell")
        >>> splits = load_detection_dataset("cells", validation_split=0.25)
        >>> splits.class_names, len(splits.train), len(splits.validation)
        (('cell',), 3, 1)
        >>> splits.train.boxes[0]
        array([[30., 15., 50., 45.]], dtype=float32)
    """
    check_validation_split(validation_split)
    path = source_path(data)
    annotations = read_dataset(data, "detection", format, images_folder)
    datasets, problems = checked_datasets(path, annotations, class_names, on_problem)
    splits = with_validation(path, datasets, validation_split, seed)
    return DetectionSplits(
        splits["train"],
        splits["validation"],
        splits.get("test"),
        tuple(problems),
        annotations.format,
    )


def load_detection_split(
    data: Any,
    class_names: Sequence[str] | None,
    on_problem: str = "fix",
    format: str | None = None,
    images_folder: str | Path | None = None,
) -> EvaluationSplit[DetectionDataset]:
    """Load the images to evaluate a detector on: the test, else the validation split, else all.

    Args:
        data: the folder or annotation file, as for `load_detection_dataset`.
        class_names: the classes of the detector, in the order of their ids; `None` for those of
            the dataset.
        on_problem: `"fix"` or `"raise"`, as for `load_detection_dataset`. A box of another class
            is a problem.
        format: name of the format; `None` to recognize it.
        images_folder: folder to write images that are not files to, such as those of a dataset in
            memory; `None` for a temporary one, which is removed at exit.

    Returns:
        `EvaluationSplit`.

    Raises:
        ValueError: if no format fits, if there are no images, if the model knows none of the
            classes, or if there are problems and `on_problem` is `"raise"`.
    """
    path = source_path(data)
    annotations = read_dataset(data, "detection", format, images_folder)
    found = annotations.class_names or _present_classes(annotations)
    if class_names is not None:
        check_model_classes(path, class_names, found)
    splits = annotations.splits
    # A test split is often published without its annotations.
    with_boxes = {s: i for s, i in splits.items() if any(image.names for image in i)}
    split = evaluation_split(with_boxes or splits)
    notes = [
        Problem("split without boxes", i[0].path.parent, f"no image for {s} has a box")
        for s, i in splits.items()
        if i and s not in with_boxes and s == evaluation_split(splits) != split
    ]
    chosen = Annotations(
        {split: splits.get(split, [])}, annotations.class_names, annotations.problems + notes
    )
    datasets, problems = checked_datasets(path, chosen, class_names or found, on_problem)
    if split not in datasets:
        raise ValueError(f"{path} has no images to evaluate on.")
    name = "all" if split == "train" else split
    return EvaluationSplit(name, datasets[split], tuple(problems))


def rarest_classes(dataset: DetectionDataset) -> np.ndarray:
    """Return the rarest class of each image, as a rank: an int array that groups the images."""
    ranks = np.argsort(np.argsort(dataset.counts, kind="stable"))
    rarest = np.array([ranks[labels].min(initial=len(ranks)) for labels in dataset.labels])
    # With too few images to group them, all are one group.
    return np.zeros_like(rarest) if np.bincount(rarest).max() == 1 else rarest


def with_validation(
    path: Path, datasets: Mapping[str, DetectionDataset], validation_split: float, seed: int
) -> dict[str, DetectionDataset]:
    """Return the splits of a training: a fraction is set aside where there is no validation split.

    Raises:
        ValueError: if there are no boxes to train on, or too few images to set some aside.
    """
    splits = dict(datasets)
    if "train" not in splits or not splits["train"].counts.any():
        raise ValueError(f"{path} has no images with boxes to train on.")
    if "validation" not in splits:
        train = splits["train"]
        aside = set_aside(train, rarest_classes(train), validation_split, seed)
        splits["train"], splits["validation"] = aside
    return splits


def checked_datasets(
    path: Path,
    annotations: Annotations[AnnotatedImage],
    class_names: Sequence[str] | None = None,
    on_problem: str = "raise",
    size_of: SizeOf = image_size,
) -> tuple[dict[str, DetectionDataset], list[Problem]]:
    """Check class names, images and boxes of annotations.

    Args:
        path: the dataset.
        annotations: its annotations.
        class_names: the classes, as for `load_detection_dataset`.
        on_problem: `"raise"` or `"fix"`, likewise.
        size_of: function that returns width and height of an image file.

    Returns:
        The splits that have images, and the problems.

    Raises:
        ValueError: if two classes have the same name, or if there are problems and `on_problem` is
            `"raise"`.
    """
    check_choice("on_problem", on_problem, ON_PROBLEM)
    if class_names is None:
        class_names = annotations.class_names or _present_classes(annotations)
    for names in (annotations.class_names or (), class_names):
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"{path} has several classes of the same name: {', '.join(repeated)}.")
    splits = {
        split: annotations.splits[split] for split in SPLIT_NAMES if annotations.splits.get(split)
    }
    splits, repeated_images = drop_repeated(splits)
    problems = annotations.problems + repeated_images
    datasets = {}
    for split, images in splits.items():
        datasets[split], found = check_annotations(images, class_names, size_of)
        problems += found
    if on_problem == "raise":
        check_problems(path, problems)
    return {split: dataset for split, dataset in datasets.items() if len(dataset)}, problems


def _present_classes(annotations: Annotations[AnnotatedImage]) -> list[str]:
    images = annotations.splits.get("train") or next(iter(annotations.splits.values()), [])
    return sorted({name for image in images for name in image.names} - {""})
