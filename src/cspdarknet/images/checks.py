"""Limits of images, and `ImageError`, which every error of a decoder becomes."""

import contextlib
import math
import re
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 180_000_000
MAX_REASON = 200  # characters of a decoder's message
MAX_HEADER = 65_536  # bytes of the header of a PPM file, with its comments


class ImageError(ValueError):
    """A file or an object that cannot be used as an image."""


@contextlib.contextmanager
def image_errors(name: str) -> Iterator[None]:
    """Raise an `ImageError` with the name of the image for every error of its decoder."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too many pixels.") from error
    except ImportError as error:  # of an optional package
        raise ImageError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file.") from error
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
        raise ImageError(f"{name}: damaged ({reason}).") from error


def check_size(width: int, height: int, limit: int | None = None) -> None:
    """Check the number of pixels, before they are decoded.

    Raises:
        ImageError: if there are none, or more than `limit` (`None`: 180 million).
    """
    limit = MAX_PIXELS if limit is None else limit
    if not 0 < math.prod((width, height)) <= limit:
        raise ImageError(f"{width} x {height} pixels, and from 1 to {limit} are accepted.")


def check_header(file: BinaryIO) -> None:
    """Check the length of the header of a PPM file, which Pillow reads byte by byte.

    Args:
        file: the start of an image file of any format. It is read from here on.

    Raises:
        ImageError: if it is a PPM, PGM or PBM file whose header does not end in time.
    """
    start = file.read(2)
    if not re.fullmatch(rb"P[0-6fy]", start):
        return
    header = file.read(MAX_HEADER)
    words = re.sub(rb"#[^\r\n]*", b"", header).split()
    # Width, height, and, unless a pixel has one bit, the largest value.
    if len(header) == MAX_HEADER and len(words) < (2 if start in (b"P1", b"P4") else 3):
        raise ImageError(f"a header of more than {MAX_HEADER} bytes.")
