"""`Explanation`: where in an image a model finds something, as a map and a picture."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cspdarknet._files import write_whole
from cspdarknet._unfinished import make_folder
from cspdarknet.visualize import draw_panels, outline

OPACITY = 0.55  # of the hottest colors of the overlay
# Colors of 0, 0.2 ... 1 between which a map is colored: dark blue, blue, cyan, yellow, red.
HEAT = np.array(
    [(20, 10, 70), (30, 80, 220), (40, 190, 210), (220, 230, 60), (250, 140, 30), (200, 20, 20)]
)
BOX_COLOR = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where in an image a model finds a class or an object, or what raises a number.

    Attributes:
        image: uint8 array `(height, width, 3)`, the image as the model takes it: the whole image
            for detectors, the center crop for others.
        map: float32 array `(height, width)` in 0..1: how much each pixel speaks for the class, or
            raises the number, relative to the one that does most.
        raw: the values as the method computed them: float32 array `(rows, columns)` of the level's
            feature map; of occlusion an array `(height, width)`, the falls of the score.
        method: `"grad-cam"`, `"layer-cam"` or `"occlusion"`.
        level: pyramid level of the feature map; `None` for occlusion.
        class_id: the class that is explained, or the index of the number.
        class_name: its name.
        score: its probability, the number, or the confidence of the detection.
        box: detectors: left, top, right and bottom of the detection in pixels; `None` otherwise.

    Example:
        >>> image, heat = np.zeros((48, 64, 3), "uint8"), np.ones((48, 64), "float32")
        >>> explanation = Explanation(image, heat, heat, "occlusion", None, 0, "cat", 0.9)
        >>> explanation.picture().save("cat.png")
    """

    image: np.ndarray
    map: np.ndarray
    raw: np.ndarray
    method: str
    level: str | None
    class_id: int
    class_name: str
    score: float
    box: tuple[float, float, float, float] | None = None

    @property
    def title(self) -> str:
        """Class, score, method and level as one line."""
        source = self.method if self.level is None else f"{self.method} {self.level}"
        return f"{self.class_name} {self.score:.2f}  {source}"

    def to_json(self) -> dict[str, Any]:
        """Return all but the arrays as JSON types."""
        names = ("class_id", "class_name", "score", "box", "method", "level")
        return {name: getattr(self, name) for name in names}

    def overlay(self) -> Image.Image:
        """Return the image with the colored map over it, and the box of the detection."""
        weights = OPACITY * np.sqrt(self.map)[..., None]
        mixed = (1 - weights) * self.image + weights * heat_colors(self.map)
        return self._with_box(np.rint(mixed).clip(0, 255).astype("uint8"))

    def picture(self) -> Image.Image:
        """Draw the image beside the overlay, with the class, the score and the method."""
        height, width = self.image.shape[:2]
        bicubic = Image.Resampling.BICUBIC
        left, right = self._with_box(self.image), self.overlay()
        return draw_panels(
            [
                (f"image  {width} x {height}", np.asarray(left), bicubic),
                (self.title, np.asarray(right), bicubic),
            ]
        )

    def save(self, path: str | Path) -> None:
        """Write the maps as an `.npz` file, atomically: `map`, `raw`, and `about` as JSON.

        Raises:
            ValueError: if the path ends otherwise.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"The file of an explanation must end in .npz. Received: {path}")
        about = json.dumps(self.to_json())

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez_compressed(file, map=self.map, raw=self.raw, about=np.array(about))

        make_folder(path.parent)
        write_whole(path, write)

    def _with_box(self, pixels: np.ndarray) -> Image.Image:
        picture = Image.fromarray(pixels)
        if self.box is not None:
            width = max(2, round(max(picture.size) / 240))
            outline(ImageDraw.Draw(picture), np.array(self.box), BOX_COLOR, width)
        return picture


def heat_colors(heat: np.ndarray) -> np.ndarray:
    """Return the RGB colors of values in 0..1: blue is low, red is high."""
    positions = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(heat, positions, HEAT[:, i]) for i in range(3)], axis=-1)


def normalized(raw: np.ndarray) -> np.ndarray:
    """Return the positive values of a map as fractions of the largest; zeros where none is."""
    positive = np.maximum(np.nan_to_num(raw), 0)
    largest = positive.max()
    scaled: Any = positive / largest if largest > 0 else np.zeros_like(positive)
    return np.asarray(scaled, "float32")
