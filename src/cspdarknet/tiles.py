"""Tiles of large images: their options, and the windows that cover an image."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from cspdarknet._arguments import MAX_IMAGE_SIZE, check_bool, check_count, is_number

# With less overlap, objects at a border are cut in both tiles; with more, the number of tiles
# explodes.
OVERLAPS = (0.05, 0.9)
DEFAULT_OVERLAP = 0.2
LEAST_SIZE = 32


class Window(NamedTuple):
    """A rectangle of an image, in pixels; `right` and `bottom` are excluded."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Tiles:
    """Overlapping square tiles that a detector sees in place of a large image.

    An image that fits one tile is detected as without tiles. Objects up to the size of the overlap
    are whole in at least one tile. Choose `size` so that objects appear in a tile as large as they
    do in the training images.

    Args:
        size: side of a tile in pixels of the image.
        overlap: least overlap of neighboring tiles, as a fraction of `size`, in 0.05..0.9.
        with_whole: whether the whole image, shrunk, is detected, too, for objects larger than a
            tile.

    Raises:
        ValueError: if a value is out of range.

    Example:
        >>> tiles = Tiles(size=640, overlap=0.2)
        >>> tiles.spans(1500)
        [(0, 640), (430, 1070), (860, 1500)]
        >>> len(tiles.windows(1000, 1500))
        6
    """

    size: int = 640
    overlap: float = DEFAULT_OVERLAP
    with_whole: bool = False

    def __post_init__(self) -> None:
        size = check_count("size", self.size, least=LEAST_SIZE, most=MAX_IMAGE_SIZE)
        low, high = OVERLAPS
        if not is_number(self.overlap) or not low <= self.overlap <= high:
            raise ValueError(
                f"`overlap` must be a fraction of a tile's side in {low}..{high}; 0.2 is usual. "
                f"Received: overlap={self.overlap!r}"
            )
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "overlap", float(self.overlap))
        object.__setattr__(self, "with_whole", check_bool("with_whole", self.with_whole))

    def spans(self, length: int) -> list[tuple[int, int]]:
        """Return start and end of the tiles along a side of an image.

        The tiles are spread evenly, from border to border: all of them have the full size, and
        overlap a little more than they have to. A side that is shorter than a tile is one span.

        Args:
            length: length of the side, in pixels.
        """
        if length <= self.size:
            return [(0, length)]
        step = self.size - math.ceil(self.overlap * self.size)
        gaps = math.ceil((length - self.size) / step)
        starts = [round(i * (length - self.size) / gaps) for i in range(gaps + 1)]
        return [(start, start + self.size) for start in starts]

    def windows(self, height: int, width: int) -> list[Window]:
        """Return the tiles of an image, row by row.

        Args:
            height: height of the image, in pixels.
            width: width of the image, in pixels.
        """
        return [
            Window(left, top, right, bottom)
            for top, bottom in self.spans(height)
            for left, right in self.spans(width)
        ]


def check_tiles(tiles: Any) -> Tiles | None:
    """Return the options of tiles, or `None` if they are not given.

    Raises:
        ValueError: if it is anything else.
    """
    if tiles is not None and not isinstance(tiles, Tiles):
        raise ValueError(
            f"`tiles` must be Tiles, such as Tiles(size=640), or None. Received: tiles={tiles!r}"
        )
    return tiles
