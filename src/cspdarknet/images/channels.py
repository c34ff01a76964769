"""Images of any number of channels and up to 16 bits: reading, resizing and showing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cspdarknet._image_size import ImageSize
from cspdarknet._pixels import orientation, upright
from cspdarknet.images.array_files import FORM, read_array_file
from cspdarknet.images.arrays import as_image_array, resized_center
from cspdarknet.images.checks import ImageError, image_errors
from cspdarknet.images.decode import check_image, fit, open_image, opened, read_image, shrink
from cspdarknet.images.values import RGB, as_picture, to_pixels

# Modes of Pillow whose values are channels, and the modes that others are converted to.
KEPT_MODES = ("L", "LA", "RGB", "RGBA", "F")
CONVERTED_MODES = {"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA"}


def read_channels(
    path: str | Path | bytes, channels: int | None, longer_side: int | None = None
) -> np.ndarray:
    """Read an image file with the channels that it has, upright.

    These are `.npy` arrays `(height, width, channels)`; TIFFs, whose pages or planes are channels;
    and the channels of any other file, such as gray, gray and alpha, RGB, and RGB and alpha of a
    PNG. Palettes and CMYK are converted to RGB.

    Args:
        path: the file, or its bytes; its content decides the format, not its suffix.
        channels: the number of channels that it must have; `None` for any.
        longer_side: maximum length of the longer side in pixels; a larger image is shrunk.

    Returns:
        An array `(height, width, channels)` in 0..255: uint8, or float32 where the file has other
        values.

    Raises:
        ImageError: (a `ValueError`) If the file cannot be read, or has other channels.

    Example:
        >>> np.save("field.npy", np.full((60, 80, 5), 65535, "uint16"))
        >>> pixels = read_channels("field.npy", 5)
        >>> pixels.shape, pixels.dtype.name, pixels.max().item()
        ((60, 80, 5), 'float32', 255.0)
    """
    name = "An image in memory" if isinstance(path, bytes) else str(path)
    with image_errors(name):
        values = read_array_file(path)
        if values is None:
            with opened(path) as image:
                values = _values_of(image, longer_side)
        return shrink_channels(_with(to_pixels(values), channels), longer_side)


def array_of_channels(item: Any, channels: int) -> np.ndarray:
    """Return an image in memory with its channels, as of `read_channels`.

    Args:
        item: an array `(height, width, channels)`, or `(height, width)` of one channel: uint8,
            uint16 in 0..65535, or other numbers in 0..255; or a Pillow image.
        channels: the number of channels that it must have.

    Raises:
        ImageError: (a `ValueError`) If it is of another form.
    """
    if isinstance(item, Image.Image):
        with image_errors("A Pillow image"):
            return _with(to_pixels(_values_of(item, None)), channels)
    try:
        values = np.asarray(item)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ImageError(f"An image must be an array {FORM}. Received: {error}") from error
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ImageError(f"An image must be an array {FORM}. Received: the shape {values.shape}")
    return _with(to_pixels(values if values.ndim == 3 else values[..., None]), channels)


def _with(pixels: np.ndarray, channels: int | None) -> np.ndarray:
    found = pixels.shape[2]
    if channels in (None, found):
        return pixels
    raise ImageError(
        f"an image must have the {channels} channels of the model. Received: {found} channels of "
        f"shape {pixels.shape}: convert the image, or train a model with `--channels {found}`."
    )


def _values_of(image: Image.Image, longer_side: int | None) -> np.ndarray:
    """Decode a Pillow image, upright, as `(height, width, channels)`."""
    check_image(image)
    if longer_side and image.format == "JPEG":
        image.draft(image.mode, fit(image.size, 2 * longer_side))
    image.load()
    turned = orientation(image)
    if image.mode.startswith("I"):  # 16 bits
        values = np.asarray(upright(image, turned)).clip(0, 65535).astype("uint16")
    else:
        default = "RGBA" if image.mode == "P" and image.has_transparency_data else "RGB"
        mode = CONVERTED_MODES.get(image.mode, default)
        kept = image if image.mode in KEPT_MODES else image.convert(mode)
        values = np.asarray(upright(kept, turned))
    return values if values.ndim == 3 else values[..., None]


def pixels_of(item: Any, channels: int = RGB, longer_side: int | None = None) -> np.ndarray:
    """Return the pixels of an image for a model of some number of channels.

    Args:
        item: a path, the bytes of an image file, a Pillow image, or an array.
        channels: the number of channels; any image but an array is converted to RGB for three.
        longer_side: maximum length of the longer side in pixels; a larger image is shrunk.

    Returns:
        An array `(height, width, channels)` in 0..255: uint8, or float32 if there are other than
        three channels and more than 8 bits.

    Raises:
        ImageError: (a `ValueError`) If the image cannot be used.
    """
    is_file = isinstance(item, (str, Path, bytes))
    if channels == RGB:
        return read_image(item, longer_side) if is_file else _shrunk_array(item, longer_side)
    if is_file:
        return read_channels(item, channels, longer_side)
    return shrink_channels(array_of_channels(item, channels), longer_side)


def _shrunk_array(item: Any, longer_side: int | None) -> np.ndarray:
    image = as_image_array(item)
    if longer_side and max(image.shape[:2]) > longer_side:
        image = np.asarray(shrink(Image.fromarray(image), longer_side))
    return image


# Resizing.


def map_planes(
    pixels: np.ndarray, function: Callable[[Image.Image], Image.Image], clip: bool = True
) -> np.ndarray:
    """Apply a function of a Pillow image of one channel to each channel of an image.

    Args:
        pixels: uint8 or float32 array `(height, width, channels)`.
        function: returns an image of the same mode, `"L"` or `"F"`.
        clip: whether floats are clipped to 0..255, beyond which an interpolation may go.
    """
    planes = [
        np.asarray(function(Image.fromarray(np.ascontiguousarray(pixels[..., i]))))
        for i in range(pixels.shape[2])
    ]
    result = np.stack(planes, axis=-1)
    return result.clip(0, 255) if clip and result.dtype == np.float32 else result


def shrink_channels(pixels: np.ndarray, longer_side: int | None) -> np.ndarray:
    """Return an image whose longer side has at most `longer_side` pixels, as `shrink` does."""
    height, width = pixels.shape[:2]
    if not longer_side or max(height, width) <= longer_side:
        return pixels
    size = fit((width, height), longer_side)
    return map_planes(pixels, lambda plane: plane.resize(size, Image.Resampling.BICUBIC))


def crop_channels(pixels: np.ndarray, size: ImageSize, part: float = 1.0) -> np.ndarray:
    """Return the center of an image of any number of channels, resized, as `center_crop` does."""
    return map_planes(pixels, lambda plane: resized_center(plane, size, part))


# Pictures to look at.


def open_picture(path: str | Path | bytes, longer_side: int | None = None) -> Image.Image:
    """Open an image file of any number of channels as an RGB picture to look at.

    Args:
        path: the file, or its bytes.
        longer_side: as of `open_image`.

    Raises:
        ImageError: (a `ValueError`) If the file cannot be read.
    """
    try:
        return open_image(path, longer_side)
    except ImageError:
        try:
            pixels = read_channels(path, None)
        except ImageError:
            pixels = None
        if pixels is None:
            raise
    return Image.fromarray(as_picture(pixels))
