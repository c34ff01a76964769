"""Reading of image files of any kind as RGB arrays, and listing of image files."""

import contextlib
import math
import os
import reprlib
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from cspdarknet._files import ignores_case
from cspdarknet._pixels import TRANSPOSED, orientation, to_array, to_rgb, upright
from cspdarknet._stored_images import StoredImage

# Files that are meant as images. Those that Pillow cannot decode, such as `.heic` without a plugin,
# are reported when they are read, instead of being passed over.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".mpo", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    *(".pcx", ".sgi", ".qoi", ".ico", ".dds", ".heic", ".heif", ".jxl", ".dng", ".cr2", ".nef"),
)
MAX_PIXELS = 180_000_000
# Formats whose decoders hold several copies of an image, for which half as many are accepted.
COPYING_FORMATS = ("AVIF", "JPEG2000", "WEBP")
# Formats of Pillow that it cannot decode by itself, for which it would run another program, or
# which it unpacks without a bound.
REFUSED_FORMATS = ("BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF")
MAX_REASON = 200  # characters of a decoder's message
# Files and folders that archives and systems leave behind.
IGNORED = ("__macosx", "thumbs.db", "desktop.ini")


class ImageError(ValueError):
    """A file or an object that cannot be used as an image."""


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
    with _image_errors(name), _opened(path) as image:
        rgb = _decoded(image, longer_side, shorter_side, close=True)
        return rgb.copy() if rgb is image else rgb


def center_crop(image: Image.Image, size: int) -> np.ndarray:
    """Return the center square of an image, resized: the input of a classifier.

    Args:
        image: an RGB image.
        size: side of the result, in pixels.

    Returns:
        A uint8 array `(size, size, 3)`.
    """
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(
        image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    )


def as_image_array(item: Any) -> np.ndarray:
    """Return an image as a uint8 array `(height, width, 3)` in 0..255.

    Args:
        item: an array `(height, width, 3)` of any real dtype, in 0..255; or a Pillow image, which
            is converted to upright RGB.

    Raises:
        ImageError: (a `ValueError`) If it is of another form.
    """
    if isinstance(item, Image.Image):
        with _image_errors("A Pillow image"):
            return to_array(_decoded(item))
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


def shrink(image: Image.Image, longer_side: int | None) -> Image.Image:
    """Return an image whose longer side has at most `longer_side` pixels."""
    if longer_side and max(image.size) > longer_side:
        return image.resize(_fit(image.size, longer_side), Image.Resampling.BICUBIC)
    return image


def _opened(path: str | Path | bytes) -> Image.Image:
    """Open an image file, but not a pipe or a device, which might not end."""
    content = path.read_bytes() if isinstance(path, StoredImage) else path
    if isinstance(content, bytes):
        image: Image.Image = Image.open(BytesIO(content))
    elif not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  (a Path is slow)
        raise ImageError("not a file.")
    else:
        image = Image.open(path)
    if image.format in REFUSED_FORMATS:
        image.close()
        raise ImageError(f"a file in the format {image.format}, which is not read.")
    return image


@contextlib.contextmanager
def _image_errors(name: str) -> Iterator[None]:
    """Raise an `ImageError` with the name of the image for every error of its decoder."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too many pixels.") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file.") from error
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
        raise ImageError(f"{name}: damaged ({reason}).") from error


def _decoded(
    image: Image.Image,
    longer_side: int | None = None,
    shorter_side: int | None = None,
    *,
    close: bool = False,
) -> Image.Image:
    """Decode an image, upright and in RGB; a JPEG at a fraction of its size, like `open_image`.

    With `close`, the memory of an image is free as soon as there is another one in RGB.
    """
    _check_size(image)
    needed: float | None = longer_side
    if shorter_side is not None:
        needed = shorter_side * max(image.size) / min(image.size)
    if needed and image.format == "JPEG":
        image.draft("RGB", _fit(image.size, needed))
    image.load()
    turned = orientation(image)
    rgb = to_rgb(image)
    if close and rgb is not image:
        image.close()
    return upright(rgb, turned)


def _check_size(image: Image.Image) -> None:
    """Check the number of pixels, before they are decoded."""
    limit = MAX_PIXELS // (2 if image.format in COPYING_FORMATS else 1)
    if not 0 < math.prod(image.size) <= limit:
        raise ImageError(
            f"{image.width} x {image.height} pixels, and from 1 to {limit} are accepted."
        )


def _fit(size: tuple[int, int], longer_side: float) -> tuple[int, int]:
    """Return a size of the same aspect ratio whose longer side is at most `longer_side`."""
    scale = min(1.0, longer_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def has_image_suffix(path: str | Path) -> bool:
    """Whether a file name ends like that of an image, in upper or lower case."""
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122  (a Path is slow)


def is_left_out(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by an archive or a system."""
    return name.startswith(".") or name.lower() in IGNORED


def walk(root: str | Path) -> Iterator[str]:
    """Yield the names of all files below a folder: their paths relative to it, with slashes.

    Hidden files and folders are left out. Linked folders are followed after all others, each folder
    once, so that a cycle of links ends.

    Raises:
        ValueError: if a folder cannot be read.
    """
    visited: set[tuple[int, int]] = set()
    folders, linked = [(str(root), "")], list[tuple[str, str]]()
    while folders or linked:
        folder, prefix = folders.pop() if folders else linked.pop(0)
        try:
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if is_left_out(entry.name):
                        continue
                    name, kind = prefix + entry.name, _kind_of(entry)
                    if kind == "file":
                        yield name
                    elif kind == "folder":
                        (linked if entry.is_symlink() else folders).append((entry.path, name + "/"))
        except OSError as error:
            raise ValueError(f"{folder} cannot be read: {error.strerror}.") from error


def _kind_of(entry: os.DirEntry[str]) -> str:
    """Return `"folder"`, `"file"` (links to nothing, too), or `"other"`: pipes and devices."""
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() or not Path(entry.path).exists() else "other"
    except OSError:  # a link to itself
        return "file"


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
    with _image_errors(str(path)), _opened(path) as image:
        _check_size(image)
        size = image.size
        if image.format == "TIFF":
            # Some versions of Pillow have turned this size already.
            tags = image.tag_v2  # type: ignore[attr-defined]
            size = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
        return size[::-1] if orientation(image) in TRANSPOSED else size


def suffix_of(file: Path | BinaryIO) -> str:
    """Return the suffix of an image file by its content; `".png"` if it is not an image."""
    opened = file.open("rb") if isinstance(file, StoredImage) else file
    with contextlib.suppress(Exception), Image.open(opened) as image:
        suffix = f".{str(image.format).lower()}"
        if has_image_suffix(f"a{suffix}"):
            return suffix
    return ".png"


@dataclass(frozen=True)
class ImageFile:
    """An image file, and its path below the source that it was found in.

    Attributes:
        path: the file.
        key: the path relative to the source. Results are named after it.
    """

    path: Path
    key: Path


def find_images(
    sources: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    results_marker: str | None = None,
) -> list[ImageFile]:
    """List the image files among files and folders, in order; subfolders are searched.

    Hidden files and folders are left out, and linked folders are followed.

    Args:
        sources: files and folders, or one of them.
        out: output folder of the results, which must not be written among the images.
        results_marker: name of a file that marks `out` as results of an earlier run. Where it is
            present, images in `out` are left out.

    Raises:
        ValueError: if a source does not exist or holds no image, two images would have the same
            results, or `out` holds images.
    """
    is_marked = out is not None and results_marker and (Path(out) / results_marker).exists()
    results = Path(out).resolve() if out is not None and is_marked else None
    files: list[ImageFile] = []
    for source in map(Path, [sources] if isinstance(sources, (str, Path)) else sources):
        if source.is_dir():
            paths = sorted(source / name for name in walk(source))
            inside = [path for path in paths if _is_image(path, results)]
            if not inside:
                raise ValueError(
                    f"A folder of images must hold files of {', '.join(SUFFIXES)}. "
                    f"Received: {source}, which holds no image."
                )
            files += [ImageFile(path, path.relative_to(source)) for path in inside]
        elif source.is_file():
            files.append(ImageFile(source, Path(source.name)))
        else:
            raise ValueError(f"There is no file or folder {source}.")
    if out is not None and any(file.path.resolve().parent == Path(out).resolve() for file in files):
        raise ValueError(f"{out} holds images: choose another folder for the results.")
    return _unique(files, out)


def _is_image(path: Path, results: Path | None) -> bool:
    if not has_image_suffix(path) or not path.is_file():
        return False
    return results is None or not path.resolve().is_relative_to(results)


def _unique(files: list[ImageFile], out: str | Path | None) -> list[ImageFile]:
    """Drop files that are listed twice; refuse two that would have the same results."""
    names = {str(file.key) for file in files}
    may_clash = out is not None and len({name.casefold() for name in names}) < len(names)
    fold = str.casefold if may_clash and ignores_case(Path(str(out))) else str
    by_name: dict[str, ImageFile] = {}
    for file in files:
        other = by_name.setdefault(fold(str(file.key)), file)
        if other.path.resolve() != file.path.resolve():
            raise ValueError(
                f"{other.path} and {file.path} would write the same result {file.key}: "
                "run them into two output folders."
            )
    return list(by_name.values())
