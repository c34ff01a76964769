"""Facts about image files: size, checksum, perceptual hash, and whether they can be decoded."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cspdarknet.images import RGB, ImageError, as_picture, image_size, open_image, read_channels
from cspdarknet.images.values import FULL_SCALE

# Side at which an image is decoded, at least. The decoder of JPEG skips most of its work, and still
# reads every byte.
DECODED_SIDE = 64
HASH_ROWS, HASH_COLUMNS = 8, 9
THUMBNAIL_SIDE = 8
# Of an image of a single color, no channel has a larger range: JPEG adds some noise. Images of 16
# bits are not JPEGs: there the range is in steps of 16 bits.
UNIFORM_RANGE = 8


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image file.

    Attributes:
        size: width and height of the upright image in pixels; `None` if the file cannot be read.
        error: why the image cannot be decoded; empty if it can.
        digest: SHA-256 of the file.
        hash: perceptual hash (dHash) of 64 bits.
        thumbnail: the image resized to 8 x 8 pixels, RGB.
        is_uniform: whether the image has a single color.
    """

    size: tuple[int, int] | None
    error: str = ""
    digest: str = ""
    hash: int = 0
    thumbnail: bytes = b""
    is_uniform: bool = False


def read_facts(path: Path, channels: int = RGB) -> ImageFacts:
    """Read an image file and decode it once.

    Args:
        path: the file.
        channels: number of channels that the image must have; any image file is read as RGB.

    Example:
        >>> Image.new("RGB", (80, 60), "navy").save("sea.png")
        >>> facts = read_facts(Path("sea.png"))
        >>> facts.size, facts.is_uniform, read_facts(Path("land.png")).error
        ((80, 60), True, 'no such file.')
    """
    header = read_header(path)
    if header.error:
        return header
    try:
        pixels = _pixels(path, channels)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except ImageError as error:
        return ImageFacts(header.size, _reason(path, error))
    except OSError as error:
        return ImageFacts(header.size, f"it cannot be read ({error.strerror}).")
    image = Image.fromarray(as_picture(pixels))
    return ImageFacts(
        header.size,
        digest=digest,
        hash=difference_hash(image),
        thumbnail=_resized(image, THUMBNAIL_SIDE, THUMBNAIL_SIDE).tobytes(),
        is_uniform=_is_uniform(pixels),
    )


def _pixels(path: Path, channels: int) -> np.ndarray:
    if channels == RGB:
        return np.asarray(open_image(path, DECODED_SIDE))
    return read_channels(path, channels)


def _is_uniform(pixels: np.ndarray) -> bool:
    step = 1 if pixels.dtype == np.uint8 else 1 / FULL_SCALE
    return bool(np.ptp(pixels, axis=(0, 1)).max() <= UNIFORM_RANGE * step)


def read_header(path: Path) -> ImageFacts:
    """Read the size of an image file only."""
    try:
        if not path.is_file():  # a pipe or a device would never end
            return ImageFacts(None, "not a file." if path.exists() else "no such file.")
        return ImageFacts(image_size(path))
    except ImageError as error:
        return ImageFacts(None, _reason(path, error))
    except (OSError, ValueError):  # a name that no file can have
        return ImageFacts(None, "no such file.")


def difference_hash(image: Image.Image) -> int:
    """Return the dHash of an image: 64 bits, one for each pair of neighbors in 8 rows of 9 pixels.

    Resized, recompressed, brighter and darker copies have hashes that differ in a few bits.
    """
    gray = _resized(image.convert("L"), HASH_COLUMNS, HASH_ROWS)
    bits = np.packbits(gray[:, 1:] > gray[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def _resized(image: Image.Image, width: int, height: int) -> np.ndarray:
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _reason(path: Path, error: ImageError) -> str:
    return str(error).removeprefix(f"{path}: ")
