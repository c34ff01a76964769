"""Draws the picture of the guide about tiles: detections in a large image, with and without them.

    python examples/tiles_image.py

The image is a drawing of a blood smear, of 2400 x 1600 pixels.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import cspdarknet
from cspdarknet import Tiles

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "tiles.jpg"
WIDTH, HEIGHT = 2400, 1600
SHOWN = (600, 400, 1800, 1200)  # the part of the image in the picture
RED, WHITE, NUCLEUS, PLATELET = (196, 134, 128), (186, 160, 196), (98, 62, 140), (126, 84, 150)


class Smear:
    """A drawing of cells that do not overlap much.

    Args:
        seed: random seed of the places and shapes of the cells.
        width: width in pixels.
        height: height in pixels.

    Attributes:
        cells: center and radius of each cell, `(n, 3)`: x, y, radius.
    """

    def __init__(self, seed: int, width: int = WIDTH, height: int = HEIGHT) -> None:
        self._rng = np.random.default_rng(seed)
        self._width, self._height = width, height
        self._pixels = np.full((height, width, 3), (226.0, 214.0, 205.0))
        self.cells = np.zeros((0, 3))

    def add(self, count: int, radius: float, color: tuple[int, int, int], pale: float) -> None:
        """Draw cells of about one radius, `pale` in their center, where there is room."""
        for _ in range(count):
            size = radius * self._rng.uniform(0.9, 1.1)
            x, y = self._rng.uniform([size, size], [self._width - size, self._height - size])
            distance = np.hypot(self.cells[:, 0] - x, self.cells[:, 1] - y)
            if (distance > 0.92 * (self.cells[:, 2] + size)).all():
                self.cells = np.vstack([self.cells, (x, y, size)])
                self._draw(x, y, size, color, pale)
                if color == WHITE:
                    for dx, dy in self._rng.uniform(-0.32, 0.32, (3, 2)) * size:
                        self._draw(x + dx, y + dy, size * 0.44, NUCLEUS, 0)

    def _draw(
        self, x: float, y: float, size: float, color: tuple[int, int, int], pale: float
    ) -> None:
        rows, columns = np.mgrid[0 : self._height, 0 : self._width]
        near = tuple(slice(max(0, int(at - 1.4 * size)), int(at + 1.4 * size)) for at in (y, x))
        distance = np.hypot(rows[near] - y, columns[near] - x) / size
        weight = 0.85 / (1 + np.exp((distance - 1) / 0.05))
        weight *= 1 - pale * (1 - distance.clip(0, 1) ** 2)
        self._pixels[near] += weight[..., None] * (np.array(color) - self._pixels[near])

    def image(self) -> Image.Image:
        """Return the drawing with some noise."""
        noisy = self._pixels + self._rng.normal(0, 4, self._pixels.shape)
        drawn = Image.fromarray(noisy.clip(0, 255).astype("uint8"))
        return drawn.filter(ImageFilter.GaussianBlur(1.2))


def main() -> None:
    smear = Smear(3)
    smear.add(40, 105, WHITE, 0)
    smear.add(2000, 50, RED, 0.45)
    smear.add(200, 17, PLATELET, 0)
    image = smear.image()
    sheet = Image.new("RGB", (1208, 400), "white")
    for left, tiles in ((0, None), (608, Tiles(640))):
        detections = cspdarknet.Predictor("yolox_nano_bccd", tiles=tiles)(image)
        print("tiles" if tiles else "shrunk", detections)
        drawn = detections.plot(image).crop(SHOWN)
        sheet.paste(drawn.resize((600, 400), Image.Resampling.LANCZOS), (left, 0))
    sheet.save(OUT, quality=88)


if __name__ == "__main__":
    main()
