"""Files of arrays of any number of channels: `.npy` files, and TIFFs through tifffile."""

import logging
import os
import stat
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cspdarknet._extras import require
from cspdarknet._pixels import TRANSPOSED
from cspdarknet._stored_images import StoredImage
from cspdarknet.images.checks import ImageError, check_size

EXTRA, PURPOSE = "large", "Reading a TIFF of this kind"
NPY_START = b"\x93NUMPY"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Kinds of pixels of a TIFF that are values of channels. Pillow converts the others, such as CMYK.
CHANNEL_KINDS = ("MINISWHITE", "MINISBLACK", "RGB")
MAX_CHANNELS = 1024
ORIENTATION = 274  # tag of a TIFF
FORM = "(height, width) or (height, width, channels)"


def read_array_file(path: str | Path | bytes) -> np.ndarray | None:
    """Read an upright array `(height, width, channels)` with the values that are in the file.

    Args:
        path: the file, or its bytes.

    Returns:
        The array; `None` for a file of another kind, and for a TIFF that Pillow has to convert.

    Raises:
        ImageError: if the array has another shape, or too many pixels.
        Exception: whatever a damaged file leads the decoder to.
    """
    with open_binary(path) as file:
        kind = kind_of(file)
        if kind == "npy":
            return _with_channels(_read_npy(file), "YXS"[: len(_npy_shape(file))])
        if kind == "tiff":
            with tiff_package().TiffFile(file) as tiff:
                return _read_tiff(tiff)
    return None


def array_file_size(path: str | Path | bytes) -> tuple[int, int] | None:
    """Return width and height of the upright array in a file by its header; `None` as above."""
    with open_binary(path) as file:
        kind = kind_of(file)
        if kind == "npy":
            height, width, *_ = _npy_shape(file)
            return width, height
        if kind == "tiff":
            with tiff_package().TiffFile(file) as tiff:
                page = tiff.pages[0]
                size = int(page.imagewidth), int(page.imagelength)
                return size[::-1] if page.tags.valueof(ORIENTATION, 1) in TRANSPOSED else size
    return None


def open_binary(path: str | Path | bytes) -> BinaryIO:
    """Open an image file, but not a pipe or a device, which might not end."""
    content = path.read_bytes() if isinstance(path, StoredImage) else path
    if isinstance(content, bytes):
        return BytesIO(content)
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  (a Path is slow)
        raise ImageError("not a file.")
    return Path(content).open("rb")


def kind_of(file: BinaryIO) -> str | None:
    """Return `"npy"`, `"tiff"` or `None`, by the start of a file."""
    start = file.read(len(NPY_START))
    file.seek(0)
    if start == NPY_START:
        return "npy"
    return "tiff" if start.startswith(TIFF_STARTS) else None


def tiff_package() -> Any:
    """Import tifffile.

    Raises:
        ImportError: if it is missing.
    """
    # It logs what is wrong with a file, and raises errors, too.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    return require("tifffile", EXTRA, PURPOSE)


def _npy_shape(file: BinaryIO) -> tuple[int, ...]:
    """Return the shape of an array by its header, which is checked."""
    file.seek(0)
    version = np.lib.format.read_magic(file)
    of_version = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    read_header: Any = of_version[version[0]]
    shape, _, dtype = read_header(file)
    file.seek(0)
    if dtype.kind not in "biuf" or len(shape) not in (2, 3):
        raise ImageError(f"an array {FORM} of numbers is read, and not {dtype} of shape {shape}.")
    _check_shape(*shape)
    return tuple(shape)


def _read_npy(file: BinaryIO) -> np.ndarray:
    _npy_shape(file)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _check_shape(height: int, width: int, channels: int = 1) -> None:
    check_size(width, height)
    # An array has as many values as an RGB image of the limit, at most.
    check_size(width, height * -(-channels // 3))
    if not 0 < channels <= MAX_CHANNELS:
        raise ImageError(
            f"{channels} channels, and from 1 to {MAX_CHANNELS} are accepted: an array must be "
            f"{FORM}."
        )


def _read_tiff(tiff: Any) -> np.ndarray | None:
    """Read the first image of a TIFF; the pages of a series of one size are its channels."""
    page, series = tiff.pages[0], tiff.series[0]
    if getattr(page.photometric, "name", "") not in CHANNEL_KINDS:
        return None
    kept = [(a, n) for a, n in zip(series.axes, series.shape, strict=True) if n > 1 or a in "YX"]
    axes = "".join(axis for axis, _ in kept)
    others = axes.replace("Y", "").replace("X", "")
    if len(others) > 1 or len(axes) - len(others) != 2 or series.dtype is None:
        raise ImageError(
            f"a TIFF of the axes {series.axes} and the shape {series.shape}: height, width and "
            "one axis of channels are read. Write them into one file each."
        )
    lengths = dict(kept)
    _check_shape(lengths["Y"], lengths["X"], lengths[others] if others else 1)
    values = np.asarray(series.asarray()).reshape([length for _, length in kept])
    if page.photometric.name == "MINISWHITE" and values.dtype.kind == "u":
        values = np.iinfo(values.dtype).max - values
    return upright_array(_with_channels(values, axes), int(page.tags.valueof(ORIENTATION, 1)))


def _with_channels(values: np.ndarray, axes: str) -> np.ndarray:
    """Return an array of some order of axes as `(height, width, channels)`."""
    others = [axis for axis in axes if axis not in "YX"]
    order = [axes.index(axis) for axis in ("Y", "X", *others)]
    moved = values.transpose(order)
    return np.ascontiguousarray(moved if others else moved[..., None])


def upright_array(values: np.ndarray, turned: int) -> np.ndarray:
    """Return an array `(height, width, channels)` of an EXIF orientation as an upright one."""
    if turned in TRANSPOSED:
        values = values.swapaxes(0, 1)
    if turned in (3, 4, 7, 8):
        values = values[::-1]
    if turned in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)
