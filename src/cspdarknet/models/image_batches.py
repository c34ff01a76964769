"""The photos in whatever `predict` was given, batch by batch."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from keras import ops

from cspdarknet.images import as_image_array


def is_images(x: Any) -> bool:
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


def image_batches(x: Any, batch_size: int, steps: int | None) -> Iterator[list[np.ndarray]]:
    """Yield photos as uint8 arrays, up to `batch_size` at a time."""
    if is_images(x):
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
    return as_image_array(ops.convert_to_numpy(item) if hasattr(item, "shape") else item)
