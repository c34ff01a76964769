"""Reading of image files of any kind as RGB arrays."""

import contextlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from cspdarknet._pixels import TRANSPOSED, orientation, to_array, to_rgb, upright
from cspdarknet._stored_images import StoredImage
from cspdarknet.images import checks
from cspdarknet.images.array_files import (
    array_file_size,
    kind_of,
    open_binary,
    read_array_file,
)
from cspdarknet.images.checks import ImageError, check_header, check_size, image_errors
from cspdarknet.images.files import ARRAY_SUFFIX, has_image_suffix
from cspdarknet.images.values import as_picture, to_pixels

# Formats whose decoders hold several copies of an image, for which half as many are accepted.
COPYING_FORMATS = ("AVIF", "JPEG2000", "WEBP")
# Formats of Pillow that it cannot decode by itself, for which it would run another program, or
# which it unpacks without a bound.
REFUSED_FORMATS = ("BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF")


def read_image(path: str | Path | bytes, longer_side: int | None = None) -> np.ndarray:
    """Read an image file as an upright RGB array.

    The EXIF orientation is applied, 16-bit and CMYK files are converted, transparent pixels become
    white, and the first frame of an animation is taken.

    Args:
        path: the file, or its bytes; its content decides the format, not its suffix.
        longer_side: maximum length of the longer side in pixels; a larger image is shrunk.

    Returns:
        A uint8 array `(height, width, 3)` in 0..255.

    Raises:
        ImageError: (a `ValueError`) If the file is missing, empty, damaged, not an image, or larger
            than 180 megapixels (AVIF, JPEG 2000 and WebP: 90).

    Example:
        >>> Image.new("RGB", (800, 600), "navy").save("sea.png")
        >>> read_image("sea.png", longer_side=640).shape
        (480, 640, 3)
    """
    if longer_side is not None and longer_side < 1:
        raise ValueError(
            f"`longer_side` must be at least 1, or None. Received: longer_side={longer_side}"
        )
    image = open_image(path, 2 * longer_side if longer_side else None)
    return to_array(shrink(image, longer_side))


def open_image(
    path: str | Path | bytes, longer_side: int | None = None, shorter_side: int | None = None
) -> Image.Image:
    """Open an image file like `read_image`, as a Pillow image.

    Args:
        path: the file, or its bytes.
        longer_side: number of pixels of the longer side that are needed. A JPEG is then decoded at
            a fraction of its size that has at least as many: the decoder skips what a resizing
            would discard.
        shorter_side: the same for the shorter side.

    Returns:
        An upright RGB image, decoded.

    Raises:
        ImageError: like `read_image`.
    """
    name = "An image in memory" if isinstance(path, bytes) else str(path)
    with image_errors(name):
        try:
            image = opened(path)
        except UnidentifiedImageError:
            return _rgb_of_array(path)
        with image:
            rgb = decoded(image, longer_side, shorter_side, close=True)
            return rgb.copy() if rgb is image else rgb


def _rgb_of_array(path: str | Path | bytes) -> Image.Image:
    """Return the image in a file of an array of three channels, with 8 bits.

    Raises:
        UnidentifiedImageError: if it is not such a file.
    """
    values = read_array_file(path)
    if values is None:
        raise UnidentifiedImageError
    if values.shape[2] != 3:
        raise ImageError(
            f"an image must have 3 channels, as RGB. Received: {values.shape[2]} channels: use a "
            f"model that was trained with `--channels {values.shape[2]}`."
        )
    return Image.fromarray(as_picture(to_pixels(values)))


def shrink(image: Image.Image, longer_side: int | None) -> Image.Image:
    """Return an image whose longer side has at most `longer_side` pixels."""
    if longer_side and max(image.size) > longer_side:
        return image.resize(fit(image.size, longer_side), Image.Resampling.BICUBIC)
    return image


def opened(path: str | Path | bytes) -> Image.Image:
    """Open an image file, but not a pipe or a device, which might not end."""
    content = path.read_bytes() if isinstance(path, StoredImage) else path
    with open_binary(content) as file:
        check_header(file)
    image: Image.Image = Image.open(BytesIO(content) if isinstance(content, bytes) else content)
    if image.format in REFUSED_FORMATS:
        image.close()
        raise ImageError(f"a file in the format {image.format}, which is not read.")
    return image


def decoded(
    image: Image.Image,
    longer_side: int | None = None,
    shorter_side: int | None = None,
    *,
    close: bool = False,
) -> Image.Image:
    """Decode an image, upright and in RGB; a JPEG at a fraction of its size, like `open_image`.

    With `close`, the memory of an image is free as soon as there is another one in RGB.
    """
    check_image(image)
    needed: float | None = longer_side
    if shorter_side is not None:
        needed = shorter_side * max(image.size) / min(image.size)
    if needed and image.format == "JPEG":
        image.draft("RGB", fit(image.size, needed))
    image.load()
    turned = orientation(image)
    rgb = to_rgb(image)
    if close and rgb is not image:
        image.close()
    return upright(rgb, turned)


def check_image(image: Image.Image) -> None:
    """Check the number of pixels, before they are decoded."""
    check_size(*image.size, checks.MAX_PIXELS // (2 if image.format in COPYING_FORMATS else 1))


def fit(size: tuple[int, int], longer_side: float) -> tuple[int, int]:
    """Return a size of the same aspect ratio whose longer side is at most `longer_side`."""
    scale = min(1.0, longer_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def image_size(path: str | Path) -> tuple[int, int]:
    """Return width and height of an image file as `read_image` decodes it, upright.

    Only the header is read; that of an image in a shard is in its index.

    Args:
        path: the file.

    Raises:
        ImageError: (a `ValueError`) If the file is missing, empty, damaged or not an image.

    Example:
        >>> exif = Image.Exif()
        >>> exif[0x0112] = 6  # the orientation: the camera was turned
        >>> Image.new("RGB", (80, 60)).save("portrait.jpg", exif=exif)
        >>> image_size("portrait.jpg")
        (60, 80)
    """
    if isinstance(path, StoredImage) and path.size is not None:
        return path.size
    with image_errors(str(path)):
        try:
            image = opened(path)
        except UnidentifiedImageError:
            size = array_file_size(path)
            if size is None:
                raise
            check_size(*size)
            return size
        with image:
            return _upright_size(image)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of an image that was opened, but not decoded."""
    check_image(image)
    size = image.size
    if image.format == "TIFF":
        # Some versions of Pillow have turned this size already.
        tags = image.tag_v2  # type: ignore[attr-defined]
        size = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    return size[::-1] if orientation(image) in TRANSPOSED else size


def suffix_of(file: Path | BinaryIO) -> str:
    """Return the suffix of an image file by its content; `".png"` if it is not an image."""
    with (
        contextlib.suppress(Exception),
        open_binary(file) if isinstance(file, Path) else contextlib.nullcontext(file) as content,
    ):
        if kind_of(content) == "npy":
            return ARRAY_SUFFIX
        check_header(content)
        content.seek(0)
        with Image.open(content) as image:
            suffix = f".{str(image.format).lower()}"
        if has_image_suffix(f"a{suffix}"):
            return suffix
    return ".png"
