"""Images strip by strip: TIFFs that are too large to be decoded at once, and all others whole."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import TiffImagePlugin

from cspdarknet._prefetch import prefetch_map, thread_pool
from cspdarknet.images import MAX_PIXELS, RGB, ImageError, pixels_of
from cspdarknet.images.array_files import TIFF_STARTS, tiff_package

MAX_LARGE_PIXELS = 100_000_000_000
MAX_LARGE_SIDE = 1_000_000
MAX_SEGMENT_BYTES = 2**29  # of a strip or tile of a TIFF, decoded
GRAY_OR_COLOR = ("MINISWHITE", "MINISBLACK", "RGB", "YCBCR")
JPEG = (6, 7)  # compressions whose decoder converts YCbCr to RGB
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2
DECODERS = 2  # threads


class ImageStrips(Protocol):
    """An image that is read from top to bottom.

    Attributes:
        size: height and width, in pixels.
        pixels: the whole image, a uint8 array `(height, width, 3)`; `None` if it is too large.
    """

    size: tuple[int, int]
    pixels: np.ndarray | None

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Return rows of the image, a uint8 array `(bottom - top, width, 3)`.

        Raises:
            ImageError: if the file is damaged.
        """

    def close(self) -> None:
        """Close the file."""


def open_strips(item: Any, channels: int = 3) -> ImageStrips:
    """Open an image for reading in strips.

    A TIFF of more than 180 megapixels is read in strips; other images are decoded whole.

    Args:
        item: a path, the bytes of an image file, a Pillow image, or an array.
        channels: number of channels; images of other than three are read whole.

    Raises:
        ImageError: if it is not an image, or is one that cannot be read.
    """
    if channels != RGB:
        return WholeImage(pixels_of(item, channels))
    if isinstance(item, (str, Path)) and _is_large_tiff(Path(item)):
        return LargeTiff(Path(item))
    return WholeImage(pixels_of(item))


def _is_large_tiff(path: Path) -> bool:
    """Whether a file is a TIFF of more pixels than are decoded at once, by its header."""
    try:
        with path.open("rb") as file:
            is_tiff = file.read(4) in TIFF_STARTS
        return is_tiff and _pixels_of_tiff(path) > MAX_PIXELS
    except Exception:  # the decoder says what is wrong with the file
        return False


def _pixels_of_tiff(path: Path) -> int:
    try:
        with TiffImagePlugin.TiffImageFile(path) as image:  # not `open`: it refuses large sizes
            return math.prod(image.size)
    except Exception:  # Pillow knows fewer kinds of pixels
        with tiff_package().TiffFile(path) as file:
            return int(file.pages[0].imagelength) * int(file.pages[0].imagewidth)


class WholeImage:
    """An image in memory, as strips.

    Args:
        pixels: uint8 array `(height, width, 3)`.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels: np.ndarray | None = pixels
        self.size = (pixels.shape[0], pixels.shape[1])

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Return rows of the image."""
        assert self.pixels is not None
        return self.pixels[top:bottom]

    def close(self) -> None:
        """Do nothing: there is no file."""


class LargeTiff:
    """A TIFF in strips of its own tiles or strips, of which each is decoded once.

    Gray and RGB images of 8 or 16 bits are read, in any compression that tifffile knows.

    Args:
        path: the file.

    Raises:
        ImageError: if it is damaged, or of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.pixels: np.ndarray | None = None
        self._path = path
        try:
            package = tiff_package()
        except ImportError as error:
            raise ImageError(f"{path}: {error}") from error
        try:
            self._file = package.TiffFile(path)
        except Exception as error:
            raise _damaged(path, error) from error
        try:
            self._page = self._file.pages[0]
            self.size = (int(self._page.imagelength), int(self._page.imagewidth))
            self._check()
        except ImageError:
            self._file.close()
            raise
        except Exception as error:
            self._file.close()
            raise _damaged(path, error) from error
        self._top, self._buffer = 0, np.empty((0, self.size[1], 3), "uint8")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self) -> None:
        page, problem = self._page, None
        samples, kind = int(page.samplesperpixel), str(getattr(page.photometric, "name", "unknown"))
        length, width = self._segment
        if page.dtype not in (np.uint8, np.uint16):
            problem = f"values of type {page.dtype}, and 8 or 16 bits are read"
        elif kind not in GRAY_OR_COLOR or (kind == "YCBCR" and page.compression not in JPEG):
            problem = f"colors of kind {kind}, and gray and RGB are read"
        elif samples > 4 or page.imagedepth > 1:
            problem = f"{samples} channels and a depth of {page.imagedepth}"
        elif (turned := page.tags.valueof(274, 1)) not in (0, 1):
            problem = f"the orientation {turned}, and upright ones are read"
        elif math.prod(self.size) > MAX_LARGE_PIXELS or max(self.size) > MAX_LARGE_SIDE:
            problem = f"{self.size[1]} x {self.size[0]} pixels, which are too many"
        elif not self._is_plain and length * width * samples * 2 > MAX_SEGMENT_BYTES:
            problem = f"strips of {width} x {length} pixels, which are too large"
        if problem:
            raise ImageError(
                f"{self._path}: a large TIFF with {problem}. Convert it to tiles of 8-bit RGB."
            )

    @property
    def _is_plain(self) -> bool:
        """Whether the pixels are in the file as they are, one row after the other."""
        return bool(self._page.is_memmappable) and self._page.planarconfig == 1

    @property
    def _segment(self) -> tuple[int, int]:
        """Height and width of the tiles or strips of the file."""
        page = self._page
        if page.is_tiled:
            return int(page.tilelength), int(page.tilewidth)
        return min(int(page.rowsperstrip), self.size[0]), self.size[1]

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Return rows of the image; those of the last call are not decoded again."""
        try:
            self._fill(top, bottom)
        except Exception as error:
            raise _damaged(self._path, error) from error
        return self._buffer[top - self._top : bottom - self._top]

    def _fill(self, top: int, bottom: int) -> None:
        """Have the rows in the buffer, up to the end of a row of tiles of the file."""
        end = self._top + len(self._buffer)
        if self._top <= top and bottom <= end:
            return
        step = 1 if self._is_plain else self._segment[0]
        is_next = self._top <= top < end
        start = end if is_next else top // step * step
        first = top if is_next else start
        last = min(self.size[0], -(-bottom // step) * step)
        buffer = np.zeros((last - first, self.size[1], 3), "uint8")
        if is_next:
            buffer[: end - top] = self._buffer[top - self._top :]
        self._read(buffer[start - first :], start)
        self._top, self._buffer = first, buffer

    def _read(self, out: np.ndarray, top: int) -> None:
        """Read rows from a row of tiles of the file on."""
        page = self._page
        if self._is_plain:
            shape = (len(out), self.size[1], int(page.samplesperpixel))
            offset = page.dataoffsets[0] + math.prod(shape[1:]) * page.dtype.itemsize * top
            dtype = page.dtype.newbyteorder(self._file.byteorder)
            with self._path.open("rb") as file:
                file.seek(offset)
                content = file.read(math.prod(shape) * dtype.itemsize)
            out[...] = self._to_rgb(np.frombuffer(content, dtype).reshape(shape))
            return
        length, width = self._segment
        columns, rows = -(-self.size[1] // width), -(-self.size[0] // length)
        planes = 1 if page.planarconfig == 1 else int(page.samplesperpixel)
        for strip in range(top // length, -(-(top + len(out)) // length)):
            height = min(length, self.size[0] - strip * length)
            values = np.zeros((height, self.size[1], int(page.samplesperpixel)), page.dtype)
            wanted = [
                (plane * rows + strip) * columns + column
                for plane in range(planes)
                for column in range(columns)
            ]
            for data, (plane, _, _, left, _), _ in self._decoded(wanted):
                if data is not None:
                    part = data[0, :height, : self.size[1] - left]
                    channels = slice(None) if planes == 1 else slice(plane, plane + 1)
                    values[: len(part), left : left + part.shape[1], channels] = part
            at = strip * length - top
            out[at : at + height] = self._to_rgb(values)

    def _decoded(self, indices: list[int]) -> Iterator[Any]:
        """Decode tiles of the file in threads."""
        page = self._page
        options = {}
        if page.compression in JPEG:
            options = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        segments = self._file.filehandle.read_segments(
            [page.dataoffsets[i] for i in indices],
            [page.databytecounts[i] for i in indices],
            indices=indices,
        )
        with thread_pool(DECODERS) as pool:
            yield from prefetch_map(
                lambda segment: page.decode(*segment, **options), segments, pool, 2 * DECODERS
            )

    def _to_rgb(self, values: np.ndarray) -> np.ndarray:
        """Convert decoded pixels to RGB of 8 bits, white where they are transparent."""
        if values.dtype.itemsize == 2:
            values = ((values.astype("uint32") + 128) // 257).astype("uint8")
        samples = values.shape[2]
        colors = values[..., : 1 if samples < 3 else 3]
        if self._page.photometric.name == "MINISWHITE":
            colors = 255 - colors
        kinds = self._page.extrasamples
        if samples in (2, 4) and kinds and kinds[0] in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA):
            alpha = values[..., -1:].astype("uint32")
            weight = 255 if kinds[0] == ASSOCIATED_ALPHA else alpha
            blend = (colors * weight + 255 * (255 - alpha) + 127) // 255
            colors = blend.clip(0, 255).astype("uint8")
        return np.broadcast_to(colors, (*values.shape[:2], 3))


def _damaged(path: Path, error: Exception) -> ImageError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ImageError(f"{path}: damaged ({reason}).")
