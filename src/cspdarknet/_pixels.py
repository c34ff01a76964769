"""Conversion of decoded Pillow images to upright RGB arrays, with little memory besides."""

import contextlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

STRIP_PIXELS = 16_000_000  # of an image that is converted at once
# How an image is made upright, by its EXIF orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TRANSPOSED = (5, 6, 7, 8)  # orientations with width and height swapped


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image: 1, which is upright, to 8."""
    # Pillow would decode all of a PNG to look for EXIF data behind the pixels.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    with contextlib.suppress(Exception):  # damaged EXIF data are as good as none
        found = image.getexif().get(ExifTags.Base.Orientation)
        if found in UPRIGHT:
            return int(found)
    return 1


def upright(image: Image.Image, turned: int) -> Image.Image:
    """Return a decoded image of an EXIF orientation as an upright one; itself, if it is that."""
    method = UPRIGHT.get(turned)
    return image if method is None else image.transpose(method)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB, with white where it is transparent.

    Args:
        image: a decoded image of any mode: also of 16 bits, of floats or with a palette.

    Raises:
        ValueError: if it has NaN or infinite pixels.
    """
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bits(image))
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    result = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        strip = strip.convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        result.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return result


def to_array(image: Image.Image) -> np.ndarray:
    """Return the pixels of an RGB image as a uint8 array `(height, width, 3)`."""
    result = np.empty((image.height, image.width, 3), "uint8")
    for top, strip in _strips(image):
        result[top : top + strip.height] = np.asarray(strip)
    return result


def _to_8_bits(image: Image.Image) -> np.ndarray:
    """Scale integers from 0..65535; floats from 0..1, 0..255 or 0..65535, by the largest value."""
    full_scale = 65535.0
    if image.mode == "F":
        largest = max(float(np.asarray(strip).max()) for _, strip in _strips(image))
        if largest <= 255:
            full_scale = 1.0 if largest <= 1 else 255.0
    result = np.empty((image.height, image.width), "uint8")
    for top, strip in _strips(image):
        values = np.asarray(strip).astype("float64")
        if not np.isfinite(values).all():
            raise ValueError("NaN or infinite pixels")
        result[top : top + strip.height] = (values / full_scale * 255).clip(0, 255).round()
    return result


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield strips of an image and their first rows; a small image is one strip."""
    rows = max(1, STRIP_PIXELS // image.width)
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
