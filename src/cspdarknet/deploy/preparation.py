"""From a photo, as a file or an array, to the pixels that a model takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cspdarknet.deploy.description import Description
from cspdarknet.images import as_photo, centre_square, open_photo, read_photo, shrink
from cspdarknet.yolox.letterbox import letterbox

DEFAULT_SIZE = 224
Preparation = Callable[[Any], tuple[np.ndarray, tuple[int, int]]]


def preparation(
    description: Description, image_size: int | None = None, longer_side: int | None = None
) -> Preparation:
    """Return what prepares a photo for a model: a function to its pixels and the photo's size.

    Args:
        description: of the model.
        image_size: side of the square that a model sees of a photo, in place of its own.
        longer_side: of a backbone: photos larger than this are shrunk to it, and stay whole.

    Raises:
        ValueError: if these do not fit the model.
    """
    own = description.image_size
    if longer_side is not None and (description.task != "features" or image_size is not None):
        raise ValueError("`longer_side` is for a backbone, and without `image_size`.")
    if description.task in ("boxes", "raw") and not description.letterbox:
        size = image_size or own
        if size is None or (description.task == "boxes" and size != own):
            raise ValueError(
                f"The model looks at squares of `image_size` {own}. Received: {image_size}"
            )
        return lambda photo: _letterboxed(photo, size)
    if description.task == "classes" or image_size is not None:
        side = image_size or own or DEFAULT_SIZE
        return lambda photo: _centre(photo, side)
    return lambda photo: _whole(photo, longer_side)


def _whole(photo: Any, longer_side: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    if isinstance(photo, (str, Path)):
        pixels = read_photo(photo, longer_side)
    else:
        pixels = as_photo(photo)
        if longer_side and max(pixels.shape[:2]) > longer_side:
            pixels = np.asarray(shrink(Image.fromarray(pixels), longer_side))
    return pixels, (pixels.shape[0], pixels.shape[1])


def _centre(photo: Any, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    if isinstance(photo, (str, Path)):
        image = open_photo(photo, 3 * size)
    else:
        image = Image.fromarray(as_photo(photo))
    return centre_square(image, size), (image.height, image.width)


def _letterboxed(photo: Any, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    pixels, photo_size = _whole(photo, None)
    return letterbox(pixels, size)[0], photo_size
