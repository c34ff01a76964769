"""Find what is wrong in the boxes of a data set before a detector learns from it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cspdarknet.data.detection.annotations import Annotated, Problem
from cspdarknet.data.detection.dataset import DetectionDataset

# Pixels by which a box may leave the photo before it counts as wrong: numbers are rounded, and
# some tools count pixels from 1.
TOLERANCE = 1.0
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)


def check_annotated(
    annotated: Sequence[Annotated], class_names: Sequence[str]
) -> tuple[DetectionDataset, list[Problem]]:
    """Turn descriptions into photos with boxes; return what is wrong beside what can be used.

    Boxes are clipped to their photo. Those without an area inside it or of an unknown class are
    left out, and so are photos that are missing, no images, or of another size than described.

    Args:
        annotated: the photos.
        class_names: the classes, in the order of the labels.
    """
    problems, usable, sizes = [], [], []
    for photo in annotated:
        size = _upright_size(photo.path)
        if isinstance(size, str):
            problems.append(Problem(photo.path, size))
        elif photo.size not in (None, size):
            problems.append(Problem(photo.path, _wrong_size(photo, size)))
        else:
            usable.append(photo)
            sizes.append(size)
    photos, wrong = _with_boxes(usable, np.array(sizes, "float64").reshape(-1, 2), class_names)
    return photos, problems + wrong


def _with_boxes(
    annotated: list[Annotated], sizes: np.ndarray, class_names: Sequence[str]
) -> tuple[DetectionDataset, list[Problem]]:
    """Check the boxes of all photos at once: there may be a million."""
    index = {name: i for i, name in enumerate(class_names)}
    names = [name for photo in annotated for name in photo.names]
    labels = np.array([index.get(name, -1) for name in names], "int64")
    ignored = np.array([flag for photo in annotated for flag in photo.ignored], "bool")
    boxes = np.array([box for photo in annotated for box in photo.boxes], "float64").reshape(-1, 4)
    counts = np.array([len(photo.names) for photo in annotated], "int64")
    owners = np.repeat(np.arange(len(annotated)), counts)
    limits = np.tile(sizes[owners], 2)
    with np.errstate(invalid="ignore", over="ignore"):
        boxes *= np.where(np.array([p.relative for p in annotated], bool)[owners, None], limits, 1)
        clipped = boxes.clip(0, limits)
        unusable = {
            "is of the unknown class {name!r}": labels < 0,
            "is no box of numbers": ~np.isfinite(boxes).all(axis=1),
            "has no area": (boxes[:, 2:] <= boxes[:, :2]).any(axis=1),
            "is outside the photo": (clipped[:, 2:] <= clipped[:, :2]).any(axis=1),
        }
        clip = {"leaves the photo": (abs(boxes - clipped) > TOLERANCE).any(axis=1)}
    problems, seen = [], np.zeros(len(boxes), bool)
    for what, places in (unusable | clip).items():
        for i in np.flatnonzero(places & ~seen):
            numbers = ", ".join(f"{value:g}" for value in boxes[i])
            text = f"the box ({numbers}) {what.format(name=names[i])}"
            problems.append(Problem(annotated[owners[i]].path, text))
        seen |= places
    keep = ~np.any(list(unusable.values()), axis=0)
    ends = np.cumsum(np.bincount(owners[keep], minlength=len(annotated)))
    photos = DetectionDataset(
        tuple(class_names),
        tuple(photo.path for photo in annotated),
        _divided(clipped[keep].astype("float32"), ends),
        _divided(labels[keep], ends),
        _divided(ignored[keep], ends),
    )
    return photos, problems


def _divided(rows: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.split(rows, ends)[:-1])


def _upright_size(path: Path) -> tuple[int, int] | str:
    """Read width and height from the header of a photo, or say why that is not possible."""
    try:
        with Image.open(path) as image:
            # Pillow would decode all of a PNG to look for EXIF data behind the pixels.
            known = image.format != "PNG" or "exif" in image.info
            turned = known and image.getexif().get(ORIENTATION) in LYING
            return (image.height, image.width) if turned else image.size
    except FileNotFoundError:
        return "there is no such photo"
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError) as error:
        return f"no image ({error})"


def _wrong_size(photo: Annotated, size: tuple[int, int]) -> str:
    text = "the photo has {} x {} pixels, its annotation says {} x {}".format(
        *size, *(photo.size or size)
    )
    if photo.size == size[::-1]:
        text += "; was it annotated lying on its side?"
    return text


def without_repeats(
    parts: Sequence[list[Annotated]],
) -> tuple[list[list[Annotated]], list[Problem]]:
    """Keep the first of several descriptions of the same photo, over all parts."""
    seen: set[str] = set()
    kept: list[list[Annotated]] = []
    problems = []
    for part in parts:
        kept.append([])
        for photo in part:
            path = _real_path(photo.path)
            if path in seen:
                problems.append(Problem(photo.path, "described more than once"))
            else:
                kept[-1].append(photo)
            seen.add(path)
    return kept, problems


def _real_path(path: Path) -> str:
    """Follow links, so that a photo and a link to it are the same."""
    try:
        return os.path.realpath(path)
    except ValueError:  # what no file can be named
        return str(path)


def as_text(value: Any) -> str:
    """Return a name that a file gives, if it is text or a number.

    Raises:
        ValueError: if it is something else: nested aliases of YAML would fill the memory as text,
            and words such as `yes` and `no` would turn into others.
    """
    if type(value) not in (str, int, float):
        raise ValueError(f"names must be text (in quotes). Found: {type(value).__name__}")
    return str(value)
