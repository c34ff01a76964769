"""Checks of the boxes of a dataset, before a detector is trained or evaluated on them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cspdarknet.data.annotations import AnnotatedImage
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.problems import Problem
from cspdarknet.images import ImageError, image_size

# Pixels by which a box may extend beyond the image before it counts as a problem: coordinates are
# rounded, and some tools count pixels from 1.
TOLERANCE = 1.0
# The kind of the problem of a box, by the description of what is wrong.
BOX_KINDS = {
    "is of the unknown class {name!r}": "unknown class",
    "has coordinates that are not finite numbers": "invalid box",
    "has no area": "invalid box",
    "is in the first pixel: are its coordinates fractions of the image?": "scaled box",
    "is far outside the image: are its coordinates pixels in place of fractions?": "scaled box",
    "is outside the image": "box outside image",
    "is given more than once": "repeated box",
    "extends beyond the image": "box beyond image",
}
SizeOf = Callable[[Path], tuple[int, int]]


def check_annotations(
    images: Sequence[AnnotatedImage], class_names: Sequence[str], size_of: SizeOf = image_size
) -> tuple[DetectionDataset, list[Problem]]:
    """Turn annotations into a dataset of the usable images and boxes, and list the problems.

    Boxes are clipped to their image. Boxes without an area inside it, repeated boxes and boxes of
    unknown classes are left out, and so are images that are missing, cannot be read, or have
    another size than their annotation states.

    Args:
        images: the annotated images.
        class_names: the classes, in the order of their ids.
        size_of: function that returns width and height of an image file.
    """
    problems, usable, sizes = [], [], []
    for image in images:
        size = size_or_problem(image.path, size_of)
        if isinstance(size, Problem):
            problems.append(size)
        elif image.size not in (None, size):
            problems.append(Problem("image size", image.path, _wrong_size(image, size)))
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
        # As they are kept: what float32 rounds to no area or to the same box is a problem, too.
        clipped = boxes.clip(0, limits).astype("float32")
        unusable, beyond = _wrong_boxes(boxes, clipped, limits, relative[:, 0], labels, owners)
    first_problem: dict[int, str] = {}
    for what, wrong in (unusable | beyond).items():
        for i in np.flatnonzero(wrong).tolist():
            first_problem.setdefault(i, what)
    starts = np.searchsorted(owners, owners) if len(owners) else owners
    problems = [
        Problem(
            BOX_KINDS[what],
            images[owners[i]].path,
            _box_problem(boxes[i], what.format(name=names[i])),
            f"box {i - starts[i] + 1}",
        )
        for i, what in sorted(first_problem.items())
    ]
    keep = ~np.any(list(unusable.values()), axis=0)
    ends = np.cumsum(np.bincount(owners[keep], minlength=len(images)))
    dataset = DetectionDataset(
        tuple(class_names),
        tuple(image.path for image in images),
        *(tuple(np.split(values[keep], ends)[:-1]) for values in (clipped, labels, ignored)),
    )
    return dataset, problems


def _wrong_boxes(
    boxes: np.ndarray,
    clipped: np.ndarray,
    limits: np.ndarray,
    relative: np.ndarray,
    labels: np.ndarray,
    owners: np.ndarray,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return which boxes are unusable, and which are clipped, for each description."""
    unknown, infinite, empty, tiny, far, outside, repeated, beyond = BOX_KINDS
    is_outside = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
    in_first_pixel = ~relative & (boxes >= 0).all(axis=1) & (boxes <= 1).all(axis=1)
    unusable = {
        unknown: labels < 0,
        infinite: ~np.isfinite(boxes).all(axis=1),
        empty: (boxes[:, 2:].astype("float32") <= boxes[:, :2].astype("float32")).any(axis=1),
        # A box of one pixel is not meant in an image of more than a few.
        tiny: in_first_pixel & (limits > 8).all(axis=1),
        far: is_outside & relative & (boxes > 2 * limits).any(axis=1),
        outside: is_outside,
        repeated: _repeated(np.column_stack([owners, labels, clipped])),
    }
    return unusable, {beyond: (abs(boxes - clipped) > TOLERANCE).any(axis=1)}


def _repeated(rows: np.ndarray) -> np.ndarray:
    """Return which rows are equal to an earlier one."""
    _, first = np.unique(rows, axis=0, return_index=True)
    repeated = np.ones(len(rows), bool)
    repeated[first] = False
    return repeated


def _box_problem(box: np.ndarray, what: str) -> str:
    return f"the box ({', '.join(f'{value:g}' for value in box)}) {what}"


def size_or_problem(path: Path, size_of: SizeOf) -> tuple[int, int] | Problem:
    """Return width and height of an image file, or its problem if it cannot be used."""
    try:
        return size_of(path)
    except ImageError as error:
        if not _is_file(path):
            return Problem("missing image", path, "there is no such image")
        reason = f"it is not an image ({str(error).removeprefix(f'{path}: ')})"
        return Problem("unreadable image", path, reason)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _wrong_size(image: AnnotatedImage, size: tuple[int, int]) -> str:
    text = "the image has {} x {} pixels, but its annotation states {} x {}".format(
        *size, *(image.size or size)
    )
    if image.size == size[::-1]:
        text += ". Was it annotated without its EXIF orientation?"
    return text
