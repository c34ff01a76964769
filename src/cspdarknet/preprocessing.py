"""From a photo, as a file or an array, to the pixels that a model takes."""

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cspdarknet.images import as_image_array, center_crop, open_image, read_image, shrink
from cspdarknet.model_info import ModelInfo
from cspdarknet.yolox.letterbox import letterbox

DEFAULT_SIZE = 224
Preparation = Callable[[Any], tuple[np.ndarray, tuple[int, int]]]


def preparation(
    description: ModelInfo, image_size: int | None = None, longer_side: int | None = None
) -> Preparation:
    """Return what prepares a photo for a model: a function to its pixels and the photo's size.

    Args:
        description: of the model.
        image_size: side of the square that a model sees of a photo, in place of its own.
        longer_side: of a backbone: photos larger than this are shrunk to it, and stay whole.

    Raises:
        ValueError: if these do not fit the model.
    """
    if longer_side is not None and (description.task != "features" or image_size is not None):
        raise ValueError("`longer_side` is for a backbone, and without `image_size`.")
    own = description.image_size
    settled = own is not None and description.task in ("boxes", "features")
    if settled and (longer_side is not None or image_size not in (None, own)):
        given = f"{image_size=}" if longer_side is None else f"{longer_side=}"
        raise ValueError(
            f"The model looks at squares of `image_size` {own}. Received: {given}: leave it out, "
            "or start from a model of that size."
        )
    side = image_size or own
    if description.letterbox:
        return lambda photo: _whole(photo, None)
    if description.task in ("boxes", "raw"):
        if side is None:
            raise ValueError("The model has no `image_size` of its own. Received: image_size=None")
        return lambda photo: _letterboxed(photo, side)
    if description.task == "classes" or side is not None:
        return lambda photo: _centre(photo, side or DEFAULT_SIZE)
    return lambda photo: _whole(photo, longer_side)


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number of Python or NumPy as an `int`.

    Raises:
        ValueError: if it is none, or less than `least`.
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise ValueError(f"`{name}` must be a whole number. Received: {name}={value!r}") from None
    if count < least:
        raise ValueError(f"`{name}` must be {least} or more. Received: {name}={value}")
    return count


def _whole(photo: Any, longer_side: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    if isinstance(photo, (str, Path)):
        pixels = read_image(photo, longer_side)
    else:
        pixels = as_image_array(photo)
        if longer_side and max(pixels.shape[:2]) > longer_side:
            pixels = np.asarray(shrink(Image.fromarray(pixels), longer_side))
    return pixels, (pixels.shape[0], pixels.shape[1])


def _centre(photo: Any, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    if isinstance(photo, (str, Path)):
        image = open_image(photo, shorter_side=2 * size)
    else:
        image = Image.fromarray(as_image_array(photo))
    return center_crop(image, size), (image.height, image.width)


def _letterboxed(photo: Any, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    pixels, photo_size = _whole(photo, None)
    return letterbox(pixels, size)[0], photo_size
