"""A contact sheet: images in a grid, each with a caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cspdarknet.images import ImageError, open_picture
from cspdarknet.visualize import fit_text

FONT_SIZE, LINE_HEIGHT, MARGIN = 14, 18, 10


@dataclass(frozen=True)
class Tile:
    """An image of a contact sheet.

    Attributes:
        image: the image, at most as wide as a column.
        caption: text and color of each line below it; long lines are cut off.
    """

    image: Image.Image
    caption: Sequence[tuple[str, str]]

    @property
    def height(self) -> int:
        """Height of image and caption in pixels."""
        return self.image.height + LINE_HEIGHT * len(self.caption)


def draw_contact_sheet(
    tiles: Sequence[Tile], column_width: int, columns: int
) -> Image.Image | None:
    """Draw images in a grid, row by row, each row as high as its highest tile.

    Args:
        tiles: the images with their captions.
        column_width: width of a column in pixels.
        columns: maximum number of columns.

    Returns:
        A Pillow image, or `None` if there are no tiles.
    """
    if not tiles:
        return None
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) + MARGIN for row in rows]
    width = len(rows[0]) * (column_width + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, sum(heights) + MARGIN), "white")
    top = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            _draw_tile(sheet, tile, MARGIN + column * (column_width + MARGIN), top, column_width)
        top += height
    return sheet


def open_or_blank(path: Path, longer_side: int, size: tuple[int, int]) -> Image.Image:
    """Open an image; one that has become unreadable is replaced by a white one.

    Args:
        path: the image file.
        longer_side: minimum length in pixels of the longer side, as of `open_image`.
        size: width and height of the replacement.
    """
    try:
        return open_picture(path, longer_side)
    except ImageError:
        return Image.new("RGB", size, "white")


def _draw_tile(sheet: Image.Image, tile: Tile, left: int, top: int, width: int) -> None:
    sheet.paste(tile.image, (left + (width - tile.image.width) // 2, top))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=FONT_SIZE)
    for line, (text, color) in enumerate(tile.caption):
        position = (left, top + tile.image.height + LINE_HEIGHT * line)
        draw.text(position, fit_text(text, font, width), fill=color, font=font)
