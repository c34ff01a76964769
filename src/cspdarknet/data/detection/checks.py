"""Checks of the boxes of a dataset, before a detector is trained or evaluated on them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from cspdarknet.data.annotations import AnnotatedImage, Problem
from cspdarknet.data.detection.dataset import DetectionDataset

# Pixels by which a box may extend beyond the image before it counts as a problem: coordinates are
# rounded, and some tools count pixels from 1.
TOLERANCE = 1.0
# EXIF orientations with width and height swapped.
TRANSPOSED = (5, 6, 7, 8)


def check_annotations(
    images: Sequence[AnnotatedImage], class_names: Sequence[str]
) -> tuple[DetectionDataset, list[Problem]]:
    """Turn annotations into a dataset of the usable images and boxes, and list the problems.

    Boxes are clipped to their image. Boxes without an area inside it and boxes of unknown classes
    are left out, and so are images that are missing, cannot be read, or have another size than
    their annotation states.

    Args:
        images: the annotated images.
        class_names: the classes, in the order of their ids.
    """
    problems, usable, sizes = [], [], []
    for image in images:
        size = _size_of(image.path)
        if isinstance(size, str):
            problems.append(Problem(image.path, size))
        elif image.size not in (None, size):
            problems.append(Problem(image.path, _wrong_size(image, size)))
        else:
            usable.append(image)
            sizes.append(size)
    dataset, box_problems = _check_boxes(
        usable, np.array(sizes, "float64").reshape(-1, 2), class_names
    )
    return dataset, problems + box_problems


def _check_boxes(
    images: list[AnnotatedImage], sizes: np.ndarray, class_names: Sequence[str]
) -> tuple[DetectionDataset, list[Problem]]:
    """Check the boxes of all images in one array: there may be a million."""
    ids = {name: i for i, name in enumerate(class_names)}
    names = [name for image in images for name in image.names]
    labels = np.array([ids.get(name, -1) for name in names], "int32")
    ignored = np.array([flag for image in images for flag in image.ignored], "bool")
    boxes = np.array([box for image in images for box in image.boxes], "float64").reshape(-1, 4)
    # Index of the image of each box.
    owners = np.repeat(np.arange(len(images)), [len(image.names) for image in images])
    limits = np.tile(sizes[owners], 2)
    relative = np.array([image.relative for image in images], "bool")[owners, None]
    with np.errstate(invalid="ignore", over="ignore"):
        boxes *= np.where(relative, limits, 1)
        clipped = boxes.clip(0, limits)
        unusable = {
            "is of the unknown class {name!r}": labels < 0,
            "has coordinates that are not finite numbers": ~np.isfinite(boxes).all(axis=1),
            "has no area": (boxes[:, 2:] <= boxes[:, :2]).any(axis=1),
            "is outside the image": (clipped[:, 2:] <= clipped[:, :2]).any(axis=1),
        }
        beyond = {"extends beyond the image": (abs(boxes - clipped) > TOLERANCE).any(axis=1)}
    first_problem: dict[int, str] = {}
    for what, wrong in (unusable | beyond).items():
        for i in np.flatnonzero(wrong).tolist():
            first_problem.setdefault(i, what)
    problems = [
        Problem(images[owners[i]].path, _box_problem(boxes[i], what.format(name=names[i])))
        for i, what in first_problem.items()
    ]
    keep = ~np.any(list(unusable.values()), axis=0)
    ends = np.cumsum(np.bincount(owners[keep], minlength=len(images)))
    dataset = DetectionDataset(
        tuple(class_names),
        tuple(image.path for image in images),
        *(
            tuple(np.split(values[keep], ends)[:-1])
            for values in (clipped.astype("float32"), labels, ignored)
        ),
    )
    return dataset, problems


def _box_problem(box: np.ndarray, what: str) -> str:
    return f"the box ({', '.join(f'{value:g}' for value in box)}) {what}"


def _size_of(path: Path) -> tuple[int, int] | str:
    """Read the upright width and height from an image's header, or return an error message."""
    try:
        with Image.open(path) as image:
            # Pillow would decode all of a PNG to look for EXIF data behind the pixels.
            has_exif = image.format != "PNG" or "exif" in image.info
            orientation = image.getexif().get(ExifTags.Base.Orientation) if has_exif else None
            return image.size[::-1] if orientation in TRANSPOSED else image.size
    except FileNotFoundError:
        return "there is no such image"
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError) as error:
        return f"it is not an image ({error})"


def _wrong_size(image: AnnotatedImage, size: tuple[int, int]) -> str:
    text = "the image has {} x {} pixels, but its annotation states {} x {}".format(
        *size, *(image.size or size)
    )
    if image.size == size[::-1]:
        text += ". Was it annotated without its EXIF orientation?"
    return text


def drop_repeated(
    splits: Mapping[str, Sequence[AnnotatedImage]],
) -> tuple[dict[str, list[AnnotatedImage]], list[Problem]]:
    """Keep the first of several annotations of the same image file, over all splits."""
    seen: set[str] = set()
    kept: dict[str, list[AnnotatedImage]] = {}
    problems = []
    for split, images in splits.items():
        kept[split] = []
        for image in images:
            path = _real_path(image.path)
            if path in seen:
                problems.append(Problem(image.path, "is annotated more than once"))
            else:
                kept[split].append(image)
            seen.add(path)
    return kept, problems


def _real_path(path: Path) -> str:
    """Follow links, so that an image and a link to it are the same."""
    try:
        return os.path.realpath(path)
    except ValueError:  # a name that no file can have
        return str(path)
