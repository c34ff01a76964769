"""Contact sheets: images in a grid with captions."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.reports.contact_sheet import (
    LINE_HEIGHT,
    MARGIN,
    Tile,
    draw_contact_sheet,
    open_or_blank,
)

pytestmark = pytest.mark.one_backend


def test_rows_are_as_high_as_their_highest_tile():
    sizes, colors = [(40, 40), (20, 60), (40, 30)], ["red", "blue", "lime"]
    tiles = [
        Tile(Image.new("RGB", size, color), [("a", "black"), ("b", "black")])
        for size, color in zip(sizes, colors, strict=True)
    ]
    sheet = draw_contact_sheet(tiles, column_width=40, columns=2)
    first, second = 60 + 2 * LINE_HEIGHT + MARGIN, 30 + 2 * LINE_HEIGHT + MARGIN
    assert sheet.size == (2 * (40 + MARGIN) + MARGIN, first + second + MARGIN)
    assert sheet.getpixel((MARGIN + 20, MARGIN + 20)) == (255, 0, 0)
    # A narrow image is centered in its column.
    left = MARGIN + 40 + MARGIN
    assert sheet.getpixel((left + 9, MARGIN + 20)) == (255, 255, 255)
    assert sheet.getpixel((left + 10, MARGIN + 20)) == (0, 0, 255)
    assert sheet.getpixel((MARGIN + 20, MARGIN + first + 5)) == (0, 255, 0)


def test_captions_stay_in_their_column():
    tile = Tile(Image.new("RGB", (40, 40), "white"), [("W" * 50, "black")])
    sheet = np.asarray(draw_contact_sheet([tile], column_width=40, columns=3))
    assert (sheet < 128).any()
    assert sheet[:, -MARGIN:].min() == 255


def test_no_tiles():
    assert draw_contact_sheet([], column_width=40, columns=3) is None


def test_an_image_that_has_disappeared_is_blank(tmp_path):
    image = open_or_blank(tmp_path / "gone.png", 100, (30, 20))
    assert image.size == (30, 20)
    assert image.getextrema() == ((255, 255),) * 3
