"""Reading of image files of any kind as RGB arrays, and listing of image files."""

import contextlib
import math
import reprlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2")
MAX_PIXELS = 180_000_000


class ImageError(ValueError):
    """A file or an object that cannot be used as an image."""


def read_image(path: str | Path, longer_side: int | None = None) -> np.ndarray:
    """Read an image file as an upright RGB array.

    The EXIF orientation is applied, 16-bit and CMYK files are converted, transparent pixels become
    white, and the first frame of an animation is taken.

    Args:
        path: the file; its content decides the format, not its suffix.
        longer_side: maximum length of the longer side in pixels; a larger image is shrunk.

    Returns:
        A uint8 array `(height, width, 3)` in 0..255.

    Raises:
        ImageError: (a `ValueError`) If the file is missing, empty, damaged, not an image, or larger
            than 180 megapixels.

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
    return np.asarray(shrink(image, longer_side))


def open_image(
    path: str | Path, longer_side: int | None = None, shorter_side: int | None = None
) -> Image.Image:
    """Open an image file like `read_image`, as a Pillow image.

    Args:
        path: the file.
        longer_side: number of pixels of the longer side that are needed. A JPEG is then decoded at
            a fraction of its size that has at least as many: the decoder skips what a resizing
            would discard.
        shorter_side: the same for the shorter side.

    Returns:
        An upright RGB image, decoded.

    Raises:
        ImageError: like `read_image`.
    """
    with _image_errors(str(path)), Image.open(path) as image:
        return _decoded(image, longer_side, shorter_side)


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
            return np.asarray(_decoded(item))
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
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise ImageError(f"{name}: damaged ({error}).") from error


def _decoded(
    image: Image.Image, longer_side: int | None = None, shorter_side: int | None = None
) -> Image.Image:
    """Decode an image, upright and in RGB; a JPEG at a fraction of its size, like `open_image`."""
    if math.prod(image.size) > MAX_PIXELS:
        raise ImageError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS}.")
    needed: float | None = longer_side
    if shorter_side is not None:
        needed = shorter_side * max(image.size) / min(image.size)
    if needed and image.format == "JPEG":
        image.draft("RGB", _fit(image.size, needed))
    return _to_rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged EXIF data
        return ImageOps.exif_transpose(image)
    return image


def _fit(size: tuple[int, int], longer_side: float) -> tuple[int, int]:
    """Return a size of the same aspect ratio whose longer side is at most `longer_side`."""
    scale = min(1.0, longer_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_8_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale integers from 0..65535; floats from 0..1, 0..255 or 0..65535, by the largest value."""
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinite pixels")
    largest = values.max(initial=0)
    full_scale = 65535.0
    if mode == "F" and largest <= 255:
        full_scale = 1.0 if largest <= 1 else 255.0
    return (values / full_scale * 255).clip(0, 255).round().astype("uint8")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bits(np.asarray(image).astype("float64"), image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def has_image_suffix(path: Path) -> bool:
    """Whether a file name ends like that of an image, in upper or lower case."""
    return path.suffix.lower() in SUFFIXES


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
            inside = [path for path in sorted(source.rglob("*")) if _is_image(path, results)]
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
    return _unique(files)


def _is_image(path: Path, results: Path | None) -> bool:
    if not has_image_suffix(path) or not path.is_file():
        return False
    return results is None or not path.resolve().is_relative_to(results)


def _unique(files: list[ImageFile]) -> list[ImageFile]:
    """Drop files that are listed twice; refuse two that would have the same results."""
    by_key: dict[Path, ImageFile] = {}
    for file in files:
        other = by_key.setdefault(file.key, file)
        if other.path.resolve() != file.path.resolve():
            raise ValueError(
                f"{other.path} and {file.path} would write the same result {file.key}: "
                "run them into two output folders."
            )
    return list(by_key.values())
