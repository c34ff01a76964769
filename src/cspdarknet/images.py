"""Read photos of any kind as RGB arrays."""

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
    """A file that cannot be used as a photo."""


def read_image(path: str | Path, longer_side: int | None = None) -> np.ndarray:
    """Read a photo as an RGB array, upright, whatever its file holds.

    The orientation of the EXIF data is applied, 16-bit and CMYK files are converted, transparent
    pixels become white, and the first frame of an animation is taken.

    Args:
        path: the file; its content counts, not its suffix.
        longer_side: shrink the photo, if it is larger, so that its longer side has so many pixels.

    Returns:
        Array of uint8, `(height, width, 3)`, 0..255.

    Raises:
        ImageError: (a `ValueError`) if the file is missing, empty, damaged, no image, or larger
            than 180 megapixels.

    Example:
        >>> Image.new("RGB", (800, 600), "navy").save("sea.png")
        >>> read_image("sea.png", longer_side=640).shape
        (480, 640, 3)
    """
    if longer_side is not None and longer_side < 1:
        raise ValueError(f"`longer_side` must be 1 or more, or None. Received: {longer_side}")
    image = open_image(path, 2 * longer_side if longer_side else None)
    return np.asarray(shrink(image, longer_side))


def open_image(
    path: str | Path, longer_side: int | None = None, shorter_side: int | None = None
) -> Image.Image:
    """Open a photo as `read_image` does, as a Pillow image.

    Args:
        path: the file.
        longer_side: a JPEG may be decoded at a fraction of its size, as long as its longer side
            keeps so many pixels: the decoder skips what a resizing would throw away.
        shorter_side: likewise of its shorter side.

    Returns:
        An RGB image, decoded and upright.

    Raises:
        ImageError: as `read_image`.
    """
    with _photo_errors(str(path)), Image.open(path) as image:
        return _decoded(image, longer_side, shorter_side)


def center_crop(image: Image.Image, size: int, share: float = 1.0) -> np.ndarray:
    """Resize a photo and cut out the square in its middle: how a classifier looks at it.

    Args:
        image: an RGB image.
        size: side of the square, in pixels.
        share: part of the shorter side that the square shows, in 0..1.

    Returns:
        Array of uint8, `(size, size, 3)`.
    """
    side = min(image.size) * share
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(
        image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    )


def as_image_array(item: Any) -> np.ndarray:
    """Return an array `(height, width, 3)` of 0..255 as whole numbers, on which networks train.

    Args:
        item: such an array, of other numbers too, or a Pillow image, which becomes upright and RGB.

    Raises:
        ImageError: (a `ValueError`) if it is of another form.
    """
    if isinstance(item, Image.Image):
        with _photo_errors("A Pillow image"):
            return np.asarray(_decoded(item))
    try:
        photo = np.asarray(item)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ImageError(f"A photo is (height, width, 3). Received: no array ({error})") from error
    if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        given = f"the shape {photo.shape}" if photo.ndim else reprlib.repr(item)
        raise ImageError(f"A photo is (height, width, 3). Received: {given}")
    if photo.dtype == np.uint8:
        return photo
    if photo.dtype.kind not in "fiu" or not np.isfinite(photo).all():
        raise ImageError(
            f"A photo holds finite numbers of 0..255. Received: {photo.dtype}"
            + (", NaN or infinite values among them" if photo.dtype.kind == "f" else "")
        )
    low, high = float(photo.min()), float(photo.max())
    if low < -1 or high > 256:
        raise ImageError(f"A photo holds numbers of 0..255. Received: {low:g} to {high:g}")
    if photo.dtype.kind == "f" and 0 < high <= 1:
        warnings.warn(
            "A photo has no value above 1: photos are of 0..255, so that it is all but black.",
            stacklevel=2,
        )
    return np.rint(photo).clip(0, 255).astype("uint8")


def shrink(image: Image.Image, longer_side: int | None) -> Image.Image:
    """Return an image whose longer side has at most so many pixels."""
    if longer_side and max(image.size) > longer_side:
        return image.resize(_fit(image.size, longer_side), Image.Resampling.BICUBIC)
    return image


@contextlib.contextmanager
def _photo_errors(name: str) -> Iterator[None]:
    """Raise a `ImageError` for whatever is wrong with a photo."""
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
    """Return an image upright and in RGB; a JPEG at a fraction of its size, as `open_image`."""
    if math.prod(image.size) > MAX_PIXELS:
        raise ImageError(f"{image.width} x {image.height} pixels are too many.")
    enough: float | None = longer_side
    if shorter_side is not None:
        enough = shorter_side * max(image.size) / min(image.size)
    if enough and image.format == "JPEG":
        image.draft("RGB", _fit(image.size, enough))
    return _to_rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged EXIF data
        return ImageOps.exif_transpose(image)
    return image


def _fit(size: tuple[int, int], longer_side: float) -> tuple[int, int]:
    scale = min(1.0, longer_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_8_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale integers from 0..65535; floats from 0..1, 0..255 or 0..65535, by their largest."""
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinite pixels")
    largest = values.max(initial=0)
    top = 65535.0
    if mode == "F" and largest <= 255:
        top = 1.0 if largest <= 1 else 255.0
    return (values / top * 255).clip(0, 255).round().astype("uint8")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bits(np.asarray(image).astype("float64"), image.mode))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


@dataclass(frozen=True)
class ImageFile:
    """A photo to work on, and where its results go below the output folder."""

    path: Path
    key: Path


def find_images(
    sources: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    results_marker: str | None = None,
) -> list[ImageFile]:
    """List the photos among files and folders (searched with their subfolders), in order.

    Args:
        sources: files and folders, or one of them.
        out: where the results will go; pictures of an earlier run in there are left out.

    Raises:
        ValueError: if a source does not exist, holds no photo, two photos would share a result, or
            results would be written among the photos.
    """
    results = (
        Path(out).resolve()
        if out is not None and results_marker and (Path(out) / results_marker).exists()
        else None
    )
    photos: list[ImageFile] = []
    for source in map(Path, [sources] if isinstance(sources, (str, Path)) else sources):
        if source.is_dir():
            inside = [path for path in sorted(source.rglob("*")) if _is_photo(path, results)]
            if not inside:
                raise ValueError(f"{source} holds no photo ({', '.join(SUFFIXES)}).")
            photos += [ImageFile(path, path.relative_to(source)) for path in inside]
        elif source.is_file():
            photos.append(ImageFile(source, Path(source.name)))
        else:
            raise ValueError(f"There is no file or folder {source}.")
    if out is not None and any(
        photo.path.resolve().parent == Path(out).resolve() for photo in photos
    ):
        raise ValueError(f"{out} holds photos: choose another folder for the results.")
    return _unique(photos)


def _is_photo(path: Path, results: Path | None) -> bool:
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    return results is None or not path.resolve().is_relative_to(results)


def _unique(photos: list[ImageFile]) -> list[ImageFile]:
    """Drop photos that were named twice; refuse two that would share a result."""
    by_key: dict[Path, ImageFile] = {}
    for photo in photos:
        other = by_key.setdefault(photo.key, photo)
        if other.path.resolve() != photo.path.resolve():
            raise ValueError(
                f"{other.path} and {photo.path} would write the same result {photo.key}: "
                "run them into two output folders."
            )
    return list(by_key.values())
