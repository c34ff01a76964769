"""Pixels of images of any number of channels and up to 16 bits.

They are in 0..255: uint8 as they are in the file, and everything else as float32. Integers of 16
bits are divided by 257, which maps 65535 to 255 and keeps all of their digits.
"""

import warnings

import numpy as np

from cspdarknet.images.checks import ImageError

RGB = 3  # channels
FULL_SCALE = 257  # 65535 / 255


def to_pixels(values: np.ndarray) -> np.ndarray:
    """Return values of a file or an array as uint8 or float32 pixels in 0..255.

    Raises:
        ImageError: if they are not finite numbers in the range of their dtype.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype("uint8") * np.uint8(255)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return values.astype("float32") / np.float32(FULL_SCALE)
    rule = "The values of an image must be uint8, uint16, or numbers in 0..255."
    if values.dtype.kind not in "iuf":
        raise ImageError(f"{rule} Received: {values.dtype}")
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < -1 or high > 256:
        raise ImageError(
            f"{rule} Received: {values.dtype} from {low:g} to {high:g}: scale them to uint16."
        )
    if values.dtype.kind == "f" and 0 < high <= 1:
        warnings.warn(
            "An image has no value above 1: images must be in 0..255, so that this one is almost "
            "black. Multiply it by 255.",
            stacklevel=2,
        )
    return values.astype("float32").clip(0, 255)


def as_picture(pixels: np.ndarray) -> np.ndarray:
    """Return an RGB picture of an image of any number of channels.

    Args:
        pixels: array `(height, width, channels)` in 0..255.

    Returns:
        A uint8 array `(height, width, 3)`: the first three channels; of one or two channels, the
        first in gray.
    """
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels).clip(0, 255).astype("uint8")
    if pixels.shape[2] >= RGB:
        return np.ascontiguousarray(pixels[..., :RGB])
    return np.repeat(pixels[..., :1], RGB, axis=2)
