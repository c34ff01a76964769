"""The photos in whatever `predict` was given, batch by batch."""

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from keras import ops


def is_photos(x: Any) -> bool:
    """Whether `x` is photos, rather than an iterable of batches."""
    if hasattr(x, "shape"):
        if len(x.shape) != 4:
            raise ValueError(
                "`x` must be photos (n, height, width, 3), or a list of photos. "
                f"Received: an array of shape {tuple(x.shape)}"
            )
        return True
    return isinstance(x, (list, tuple)) and all(_axes(item) == 3 for item in x)


def _axes(item: Any) -> int:
    """Return the number of axes of an array or of nested lists of numbers; 0 for all else."""
    if hasattr(item, "shape"):
        return len(item.shape)
    axes = 0
    while isinstance(item, (list, tuple)) and len(item):
        item, axes = item[0], axes + 1
        if hasattr(item, "shape"):
            return axes + len(item.shape)
    return axes if isinstance(item, (int, float)) else 0


def photo_batches(x: Any, batch_size: int, steps: int | None) -> Iterator[list[np.ndarray]]:
    """Yield photos as uint8 arrays, up to `batch_size` at a time."""
    if is_photos(x):
        photos = [_to_uint8(photo) for photo in x]
        starts = range(0, len(photos), batch_size)
        yield from (photos[start : start + batch_size] for start in itertools.islice(starts, steps))
        return
    if not isinstance(x, Iterable):
        raise ValueError(f"`x` must be an array or a list of photos. Received: {type(x).__name__}")
    waiting: list[np.ndarray] = []
    for item in itertools.islice(x, steps):
        images = item[0] if isinstance(item, (tuple, list)) and _axes(item[0]) == 4 else item
        waiting += [_to_uint8(photo) for photo in (images if _axes(images) == 4 else [images])]
        while len(waiting) >= batch_size:
            yield waiting[:batch_size]
            waiting = waiting[batch_size:]
    if waiting:
        yield waiting


def _to_uint8(item: Any) -> np.ndarray:
    """Return a photo as whole numbers, of which the network was trained on."""
    photo = np.asarray(ops.convert_to_numpy(item) if hasattr(item, "shape") else item)
    if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(f"A photo is (height, width, 3). Received: the shape {photo.shape}")
    if photo.dtype == np.uint8:
        return photo
    if photo.dtype.kind not in "fiu" or not np.isfinite(photo).all():
        raise ValueError(
            f"A photo holds finite numbers of 0..255. Received: {photo.dtype}"
            + (", NaN or infinite values among them" if photo.dtype.kind == "f" else "")
        )
    low, high = float(photo.min()), float(photo.max())
    if low < -1 or high > 256:
        raise ValueError(f"A photo holds numbers of 0..255. Received: {low:g} to {high:g}")
    if photo.dtype.kind == "f" and 0 < high <= 1:
        warnings.warn(
            "A photo has no value above 1: photos are of 0..255, so that it is all but black.",
            stacklevel=2,
        )
    return np.rint(photo).clip(0, 255).astype("uint8")
