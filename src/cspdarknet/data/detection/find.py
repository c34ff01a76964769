"""Loading of datasets for object detection, from each supported format."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet.data.annotations import AnnotatedImage, Annotations, Problem
from cspdarknet.data.dataset import EvaluationSplit
from cspdarknet.data.detection.checks import check_annotations, drop_repeated
from cspdarknet.data.detection.dataset import DetectionDataset, DetectionSplits
from cspdarknet.data.formats.coco import read_coco
from cspdarknet.data.formats.reading import read_annotations
from cspdarknet.data.formats.voc import read_voc
from cspdarknet.data.formats.yolo import read_yolo
from cspdarknet.data.splits import (
    SPLIT_NAMES,
    check_validation_split,
    evaluation_split,
    set_aside,
)

READERS = (read_voc, read_yolo, read_coco)
FORMATS = (
    "a folder in the format of Pascal VOC (Annotations/*.xml), of COCO "
    "(annotations/instances_*.json, or a .json file) or of YOLO (data.yaml, or the folders images "
    "and labels)"
)
SHOWN_PROBLEMS = 5


def load_detection_dataset(
    data: str | Path,
    validation_split: float = 0.15,
    seed: int = 0,
    on_problem: str = "raise",
    class_names: Sequence[str] | None = None,
) -> DetectionSplits:
    """Load a dataset for object detection: paths and boxes of its images, in splits.

    These formats are read:

    - Pascal VOC: `Annotations/*.xml`, `JPEGImages/`, and optionally `ImageSets/Main/*.txt`.
    - COCO: `annotations/instances_*.json` with folders of images, or a JSON file beside the
      images of each split, or a single JSON file.
    - YOLO: `data.yaml`, or the folders `images` and `labels`, with a text file for each image.

    Images without boxes are kept as negative examples: an image with an XML file without objects,
    one that COCO's JSON lists without annotations, or one with an empty or missing label file in
    the YOLO format. An image without an XML file is not annotated yet, and is left out. Without a
    validation split, a fraction of the training images is set aside, stratified by class.

    Args:
        data: the folder, JSON or YAML file.
        validation_split: fraction of the images that is set aside, between 0 and 1.
        seed: random seed of that choice.
        on_problem: `"raise"` an error if boxes or images are wrong; or `"fix"` them: clip boxes to
            their image, leave out what cannot be used, and list all of it in `problems`.
        class_names: the classes in the order of their ids. By default these are the declared
            classes, or all names of the training split, sorted, where none are declared (VOC).

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
    path = Path(data)
    annotations = _read(path)
    if class_names is None:
        class_names = annotations.class_names or _present_classes(annotations)
    datasets, problems = _checked(path, annotations, class_names, on_problem)
    train, validation = datasets.get("train"), datasets.get("validation")
    if train is None or not train.counts.any():
        raise ValueError(f"{path} has no images with boxes to train on.")
    if validation is None:
        train, validation = set_aside(train, rarest_classes(train), validation_split, seed)
    return DetectionSplits(train, validation, datasets.get("test"), tuple(problems))


def load_detection_split(
    data: str | Path, class_names: Sequence[str], on_problem: str = "raise"
) -> EvaluationSplit[DetectionDataset]:
    """Load the images to evaluate a detector on: the test, else the validation split, else all.

    Args:
        data: the folder, JSON or YAML file, as for `load_detection_dataset`.
        class_names: the classes of the detector, in the order of their ids.
        on_problem: `"raise"` or `"fix"`, as for `load_detection_dataset`. A box of another class
            is a problem.

    Returns:
        `EvaluationSplit`.

    Raises:
        ValueError: if no format fits, if there are no images, or if there are problems and
            `on_problem` is `"raise"`.
    """
    path = Path(data)
    annotations = _read(path)
    split = evaluation_split(annotations.splits)
    chosen = Annotations(
        {split: annotations.splits.get(split, [])}, annotations.class_names, annotations.problems
    )
    datasets, problems = _checked(path, chosen, class_names, on_problem)
    if split not in datasets:
        raise ValueError(f"{path} has no images to evaluate on. Expected {FORMATS}.")
    name = "all" if split == "train" else split
    return EvaluationSplit(name, datasets[split], tuple(problems))


def rarest_classes(dataset: DetectionDataset) -> np.ndarray:
    """Return the rarest class of each image, as a rank: an int array that groups the images."""
    ranks = np.argsort(np.argsort(dataset.counts, kind="stable"))
    rarest = np.array([ranks[labels].min(initial=len(ranks)) for labels in dataset.labels])
    # With too few images to group them, all are one group.
    return np.zeros_like(rarest) if np.bincount(rarest).max() == 1 else rarest


def _read(path: Path) -> Annotations[AnnotatedImage]:
    return read_annotations(path, READERS, f"an object detection dataset. Expected {FORMATS}.")


def _present_classes(annotations: Annotations[AnnotatedImage]) -> list[str]:
    images = annotations.splits.get("train", [])
    return sorted({name for image in images for name in image.names} - {""})


def _checked(
    path: Path,
    annotations: Annotations[AnnotatedImage],
    class_names: Sequence[str],
    on_problem: str,
) -> tuple[dict[str, DetectionDataset], list[Problem]]:
    """Check class names, images and boxes; return the splits that have images, and the problems."""
    check_choice("on_problem", on_problem, ("raise", "fix"))
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
        datasets[split], found = check_annotations(images, class_names)
        problems += found
    if problems and on_problem == "raise":
        raise ValueError(_summary(path, problems))
    return {split: dataset for split, dataset in datasets.items() if len(dataset)}, problems


def _summary(path: Path, problems: list[Problem]) -> str:
    files = len({problem.path for problem in problems})
    lines = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"  and {len(problems) - SHOWN_PROBLEMS} more")
    return "\n".join(
        [
            f"{path}: {len(problems)} problems in {files} files.",
            *lines,
            "Correct them, or pass on_problem='fix' to clip boxes to their image, leave out what "
            "cannot be used, and list it.",
        ]
    )
