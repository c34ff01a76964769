"""Batches of images from everything that `predict` of a detector or classifier accepts."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.model_info import ModelInfo
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE, preprocessor
from cspdarknet.yolox.letterbox import PADDING, letterbox

BATCH_SIZE = 32  # of a classifier's `predict`, as in Keras


def is_image(item: Any) -> bool:
    """Whether this is one image: a path, a Pillow image or an array `(height, width, 3)`."""
    return isinstance(item, (str, Path, Image.Image)) or _ndim(item) == 3


def listed_images(x: Any) -> list[Any] | None:
    """Return one image, or the images of a list, as a list; `None` for everything else."""
    if is_image(x):
        return [x]
    return list(x) if isinstance(x, (list, tuple)) and all(map(is_image, x)) else None


def is_images(x: Any) -> bool:
    """Whether `x` is images, one or many, rather than an iterable of batches.

    Raises:
        ValueError: if `x` is an array that is not images.
    """
    if hasattr(x, "shape") and len(x.shape) not in (3, 4):
        raise ValueError(
            "`x` must be an image (height, width, 3), images (n, height, width, 3), or a list of "
            f"images or their paths. Received: an array of shape {tuple(x.shape)}"
        )
    return hasattr(x, "shape") or listed_images(x) is not None


def number_of_images(x: Any) -> int:
    """Return the number of images in `x`, for which `is_images` is true."""
    return 1 if is_image(x) else len(x)


def _ndim(item: Any) -> int:
    """Return the number of axes of an array or of nested lists of numbers; 0 for all else."""
    if hasattr(item, "shape"):
        return len(item.shape)
    ndim = 0
    while isinstance(item, (list, tuple)):
        item, ndim = next(iter(item), None), ndim + 1
        if hasattr(item, "shape"):
            return ndim + len(item.shape)
    return ndim if isinstance(item, (int, float)) else 0


def image_batches(
    x: Any, batch_size: int, steps: int | None, channels: int = 3
) -> Iterator[list[np.ndarray]]:
    """Yield lists of up to `batch_size` images `(height, width, channels)`.

    Args:
        x: one image, which is a path, a Pillow image or an array `(height, width, 3)`; an array
            `(n, height, width, 3)`; a list of images; or an iterable of images or batches. Batches
            may be tuples of images and targets.
        batch_size: largest number of images in a list.
        steps: number of lists that are taken of images, or of items of an iterable; `None` for all.
        channels: number of channels of the images.
    """
    whole_image = preprocessor(ModelInfo("features", channels=channels))

    def pixels(item: Any) -> np.ndarray:
        return whole_image(_to_numpy(item)).image

    if is_images(x):
        images = [x] if is_image(x) else x
        for start in itertools.islice(range(0, len(images), batch_size), steps):
            yield [pixels(image) for image in images[start : start + batch_size]]
        return
    if not isinstance(x, Iterable):
        raise ValueError(
            "`x` must be an image, an array or a list of images, or their paths. "
            f"Received: x of type {type(x).__name__}"
        )
    waiting: list[np.ndarray] = []
    for item in itertools.islice(x, steps):
        has_targets = isinstance(item, (tuple, list)) and item and _ndim(item[0]) == 4
        batch = item[0] if has_targets else item
        waiting += [pixels(image) for image in (batch if _ndim(batch) == 4 else [batch])]
        while len(waiting) >= batch_size:
            yield waiting[:batch_size]
            waiting = waiting[batch_size:]
    if waiting:
        yield waiting


def letterbox_batch(
    images: Sequence[np.ndarray], size: ImageSize, batch_size: int, data_format: str
) -> dict[str, np.ndarray]:
    """Letterbox images, and fill up the batch with gray squares.

    Args:
        images: images `(height, width, channels)`, at most `batch_size`.
        size: side of the squares in pixels, or height and width.
        batch_size: number of squares, the same for all batches: each backend compiles for it.
        data_format: `"channels_last"` or `"channels_first"`, of the squares.

    Returns:
        The inputs of `inference_model(letterboxed=True)`: `"images"` and `"image_sizes"`.
    """
    channels = images[0].shape[2]
    squares = np.full((batch_size, *sides(size), channels), PADDING, "float32")
    sizes = np.empty((batch_size, 2), "float32")
    sizes[:] = sides(size)
    for i, image in enumerate(images):
        squares[i], _ = letterbox(image, size)
        sizes[i] = image.shape[:2]
    if data_format == "channels_first":
        squares = squares.transpose(0, 3, 1, 2)
    return {"images": squares, "image_sizes": sizes}


class CroppedImages(keras.utils.PyDataset):
    """Batches of the center crops of images, as a classifier takes them.

    Args:
        images: paths, Pillow images and arrays `(height, width, 3)` in 0..255.
        size: size of the crops in pixels; `None` for the default.
        batch_size: number of images in a batch.
        data_format: `"channels_last"` or `"channels_first"`, of the batches.
        channels: number of channels of the images.
        crop: part of the side of an image's central square that is taken.
    """

    def __init__(
        self,
        images: Sequence[Any],
        size: ImageSize | None,
        batch_size: int,
        data_format: str,
        channels: int = 3,
        crop: float = 1.0,
    ) -> None:
        super().__init__()
        starts = range(0, len(images), batch_size)
        self._batches = [images[start : start + batch_size] for start in starts]
        self._crop = preprocessor(
            ModelInfo("classification", channels=channels, crop=crop), size or DEFAULT_IMAGE_SIZE
        )
        self._data_format = data_format

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        crops = [self._crop(_to_numpy(image)).inputs for image in self._batches[index]]
        batch = np.stack(crops).astype("float32")
        return (batch.transpose(0, 3, 1, 2) if self._data_format == "channels_first" else batch,)


def _to_numpy(item: Any) -> Any:
    """Return the tensor of a backend as an array; all else as it is."""
    return ops.convert_to_numpy(item) if hasattr(item, "shape") else item
