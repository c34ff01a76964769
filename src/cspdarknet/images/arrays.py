"""Images in memory: checks and conversions of arrays and Pillow images, and resizing."""

import reprlib
import warnings
from typing import Any

import numpy as np
from PIL import Image

from cspdarknet._image_size import ImageSize, sides
from cspdarknet._pixels import to_array
from cspdarknet.images.checks import ImageError, image_errors
from cspdarknet.images.decode import decoded


def center_crop(image: Image.Image, size: ImageSize, part: float = 1.0) -> np.ndarray:
    """Return the center of an image, resized: the input of a classifier.

    Args:
        image: an RGB image.
        size: side of the result, in pixels, or its height and width. The largest part of this
            aspect ratio is taken.
        part: part of the sides of this area that is taken, in its center.

    Returns:
        A uint8 array `(size, size, 3)`.
    """
    return np.asarray(resized_center(image, size, part))


def resized_center(image: Image.Image, size: ImageSize, part: float = 1.0) -> Image.Image:
    """Return the center of an image of any mode, resized; as `center_crop`."""
    height, width = sides(size)
    if image.width * height <= image.height * width:
        crop = float(image.width), image.width * height / width
    else:
        crop = image.height * width / height, float(image.height)
    crop = crop[0] * part, crop[1] * part
    left, top = (image.width - crop[0]) / 2, (image.height - crop[1]) / 2
    box = (left, top, left + crop[0], top + crop[1])
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def as_image_array(item: Any) -> np.ndarray:
    """Return an image as a uint8 array `(height, width, 3)` in 0..255.

    Args:
        item: an array `(height, width, 3)` of any real dtype, in 0..255; or a Pillow image, which
            is converted to upright RGB.

    Raises:
        ImageError: (a `ValueError`) If it is of another form.
    """
    if isinstance(item, Image.Image):
        with image_errors("A Pillow image"):
            return to_array(decoded(item))
    rule = "An image must be an array (height, width, 3)."
    try:
        image = np.asarray(item)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ImageError(f"{rule} Received: not an array ({error})") from error
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        received = f"the shape {image.shape}" if image.ndim else reprlib.repr(item)
        raise ImageError(f"{rule} Received: {received}")
    if image.dtype == np.uint8:
        return image
    rule = "The values of an image must be finite numbers in 0..255."
    if image.dtype.kind not in "fiu":
        raise ImageError(f"{rule} Received: {image.dtype}")
    if not np.isfinite(image).all():
        raise ImageError(f"{rule} Received: NaN or infinite values in {image.dtype}")
    low, high = float(image.min()), float(image.max())
    if low < -1 or high > 256:
        raise ImageError(f"{rule} Received: {low:g} to {high:g}")
    if image.dtype.kind == "f" and 0 < high <= 1:
        warnings.warn(
            "An image has no value above 1: images must be in 0..255, so that this one is almost "
            "black. Multiply it by 255.",
            stacklevel=2,
        )
    return np.rint(image).clip(0, 255).astype("uint8")
