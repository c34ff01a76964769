"""Batches of images from everything that `YOLOXDetector.predict` accepts."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops

from cspdarknet.images import as_image_array
from cspdarknet.yolox.letterbox import PADDING, letterbox


def is_images(x: Any) -> bool:
    """Whether `x` is an array or a list of images, rather than an iterable of batches."""
    if hasattr(x, "shape"):
        if len(x.shape) != 4:
            raise ValueError(
                "`x` must be images (n, height, width, 3), or a list of images. "
                f"Received: an array of shape {tuple(x.shape)}"
            )
        return True
    return isinstance(x, (list, tuple)) and all(_ndim(item) == 3 for item in x)


def _ndim(item: Any) -> int:
    """Return the number of axes of an array or of nested lists of numbers; 0 for all else."""
    if hasattr(item, "shape"):
        return len(item.shape)
    ndim = 0
    while isinstance(item, (list, tuple)) and len(item):
        item, ndim = item[0], ndim + 1
        if hasattr(item, "shape"):
            return ndim + len(item.shape)
    return ndim if isinstance(item, (int, float)) else 0


def image_batches(x: Any, batch_size: int, steps: int | None) -> Iterator[list[np.ndarray]]:
    """Yield lists of up to `batch_size` uint8 images `(height, width, 3)`.

    Args:
        x: an array `(n, height, width, 3)`, a list of images, or an iterable of images or batches;
            batches may be tuples of images and targets.
        batch_size: largest number of images in a list.
        steps: number of lists that are taken of images, or of items of an iterable; `None` for all.
    """
    if is_images(x):
        images = [_to_uint8(image) for image in x]
        starts = range(0, len(images), batch_size)
        yield from (images[start : start + batch_size] for start in itertools.islice(starts, steps))
        return
    if not isinstance(x, Iterable):
        raise ValueError(
            f"`x` must be an array or a list of images. Received: x of type {type(x).__name__}"
        )
    waiting: list[np.ndarray] = []
    for item in itertools.islice(x, steps):
        has_targets = isinstance(item, (tuple, list)) and item and _ndim(item[0]) == 4
        batch = item[0] if has_targets else item
        waiting += [_to_uint8(image) for image in (batch if _ndim(batch) == 4 else [batch])]
        while len(waiting) >= batch_size:
            yield waiting[:batch_size]
            waiting = waiting[batch_size:]
    if waiting:
        yield waiting


def letterbox_batch(
    images: Sequence[np.ndarray], size: int, batch_size: int, data_format: str
) -> dict[str, np.ndarray]:
    """Letterbox images, and fill up the batch with gray squares.

    Args:
        images: uint8 images `(height, width, 3)`, at most `batch_size`.
        size: side of the squares in pixels.
        batch_size: number of squares, the same for all batches: each backend compiles for it.
        data_format: `"channels_last"` or `"channels_first"`, of the squares.

    Returns:
        The inputs of `inference_model(letterboxed=True)`: `"images"` and `"image_sizes"`.
    """
    squares = np.full((batch_size, size, size, 3), PADDING, "float32")
    sizes = np.full((batch_size, 2), size, "float32")
    for i, image in enumerate(images):
        squares[i], _ = letterbox(image, size)
        sizes[i] = image.shape[:2]
    if data_format == "channels_first":
        squares = squares.transpose(0, 3, 1, 2)
    return {"images": squares, "image_sizes": sizes}


def _to_uint8(item: Any) -> np.ndarray:
    return as_image_array(ops.convert_to_numpy(item) if hasattr(item, "shape") else item)
