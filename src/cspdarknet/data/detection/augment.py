"""Random changes of photos with boxes: mosaics, warps, mixtures, colors and flips.

They run on the processor while the network trains, in Pillow and NumPy, and draw from the given
random numbers only. Coordinates are those of the edges of pixels: a photo reaches from 0 to its
width.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from cspdarknet.yolox.letterbox import PADDING

# What must be left of a box that is cut off or warped: pixels of the shorter side, share of its
# area; and how much longer than wide it may be.
SHORTEST_SIDE = 2.0
SMALLEST_SHARE = 0.2
LARGEST_ASPECT = 20.0
# A shift of saturation is applied as the factor that it is for colors of half saturation.
HALF_SATURATION = 128


class DetectionSample(NamedTuple):
    """A photo and what is on it.

    Attributes:
        image: uint8 array `(height, width, 3)`.
        boxes: float32 array `(n, 4)`: left, top, right, bottom in pixels.
        labels: int64 array `(n,)`.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class DetectionAugmentation:
    """How strongly training photos with boxes are changed; 0 switches a change off.

    The values are those that YOLOX's published small models were trained with. A mosaic is
    turned and scaled about its center, and boxes of which little is left are dropped, as when
    those models were trained: a later version of YOLOX keeps the top left quarter instead.

    Attributes:
        mosaic: probability that a photo becomes one of four of a mosaic.
        mosaic_scale: smallest and largest factor by which a mosaic is scaled.
        degrees: largest angle by which a mosaic is turned, to either side.
        translate: largest shift of a mosaic, as a share of the image's side.
        shear: largest angle by which a mosaic is sheared, in degrees.
        mixup: probability that a mosaic is blended with one more photo.
        mixup_scale: smallest and largest factor by which that photo is scaled.
        hsv: largest shift of hue (of 180 that go around), of saturation and of value (of 255),
            each applied to every other photo. A linear change of the colors stands in for one of
            hue, saturation and value: it is ten times faster, and gray stays gray.
        flip: probability of a left-right flip.
        flip_vertical: probability of an upside-down flip, for photos that have no upright
            direction, such as those by a microscope or from the air.
        multi_scale: smallest and largest factor of the side of the images of a batch; sides are
            multiples of 32.

    References:
        YOLOX (https://arxiv.org/abs/2107.08430), MixUp (https://arxiv.org/abs/1710.09412), mosaic
        (https://arxiv.org/abs/2004.10934).
    """

    mosaic: float = 1.0
    mosaic_scale: tuple[float, float] = (0.5, 1.5)
    degrees: float = 10.0
    translate: float = 0.1
    shear: float = 2.0
    mixup: float = 0.0
    mixup_scale: tuple[float, float] = (0.5, 1.5)
    hsv: tuple[float, float, float] = (5.0, 30.0, 30.0)
    flip: float = 0.5
    flip_vertical: float = 0.0
    multi_scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("mosaic", "mixup", "flip", "flip_vertical"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in 0..1. Received: {getattr(self, name)}")
        for name in ("mosaic_scale", "mixup_scale", "multi_scale"):
            factors = getattr(self, name)
            if len(factors) != 2 or not 0 < factors[0] <= factors[1] < math.inf:
                raise ValueError(
                    f"`{name}` must be two factors above 0, the smaller one first. "
                    f"Received: {factors}"
                )
        for name, limit in (("degrees", 180), ("shear", 45), ("translate", 1)):
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"`{name}` must be in 0..{limit}. Received: {getattr(self, name)}")
        if len(self.hsv) != 3 or not all(0 <= value <= 255 for value in self.hsv):
            raise ValueError(f"`hsv` must be three numbers in 0..255. Received: {self.hsv}")

    @property
    def no_mixing(self) -> "DetectionAugmentation":
        """The same without mosaics, and so without warps and mixtures: for the last epochs."""
        return replace(self, mosaic=0.0)

    def photo(
        self,
        photo: DetectionSample,
        partner: Callable[[], DetectionSample],
        size: int,
        rng: np.random.Generator,
    ) -> DetectionSample:
        """Return a changed photo on a square.

        Args:
            photo: the photo, already resized to fit the square.
            partner: gives another such photo, for mosaics and mixtures.
            size: side of the square, in pixels.
            rng: random numbers.

        Example:
            >>> gray = np.full((48, 64, 3), 128, "uint8")
            >>> photo = DetectionSample(gray, np.array([[8, 6, 40, 30]], "float32"), np.array([0]))
            >>> plain = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=1)
            >>> changed = plain.photo(photo, lambda: photo, 64, np.random.default_rng(0))
            >>> changed.image.shape, changed.boxes
            ((64, 64, 3), array([[24.,  6., 56., 30.]], dtype=float32))
        """
        if rng.random() < self.mosaic:
            photo = self._mosaic([photo, partner(), partner(), partner()], size, rng)
            if rng.random() < self.mixup:
                photo = mixup(photo, partner(), self.mixup_scale, rng)
        image = jitter_colors(photo.image, self.hsv, rng)
        photo = photo._replace(image=image)
        if rng.random() < self.flip:
            photo = flip(photo)
        if rng.random() < self.flip_vertical:
            photo = flip_vertically(photo)
        return padded(photo, size)

    def _mosaic(
        self, photos: list[DetectionSample], size: int, rng: np.random.Generator
    ) -> DetectionSample:
        x, y = rng.uniform(0.5 * size, 1.5 * size, 2).astype(int)
        canvas = mosaic(photos, size, x, y)
        matrix = centered_affine(
            angle=rng.uniform(-self.degrees, self.degrees),
            scale=rng.uniform(*self.mosaic_scale),
            shear=rng.uniform(-self.shear, self.shear, 2),
            center=size,
            place=size * (0.5 + rng.uniform(-self.translate, self.translate, 2)),
        )
        return warp(canvas, size, matrix, PADDING)

    def side(self, size: int, rng: np.random.Generator) -> int:
        """Draw the side of the images of a batch for a training at this size."""
        low, high = (max(1, round(factor * size / 32)) for factor in self.multi_scale)
        return size if low == high else 32 * int(rng.integers(low, high + 1))


def mosaic(photos: Sequence[DetectionSample], size: int, x: int, y: int) -> DetectionSample:
    """Put four photos around a point of a canvas that is twice as wide and high as the image."""
    canvas = np.full((2 * size, 2 * size, 3), PADDING, "uint8")
    boxes = []
    for i, photo in enumerate(photos):
        height, width = photo.image.shape[:2]
        left, top = x - width * (i % 2 == 0), y - height * (i < 2)
        rows = slice(max(top, 0), min(top + height, 2 * size))
        columns = slice(max(left, 0), min(left + width, 2 * size))
        canvas[rows, columns] = photo.image[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        boxes.append(photo.boxes + np.array([left, top, left, top], "float32"))
    everything = np.concatenate(boxes)
    labels = np.concatenate([photo.labels for photo in photos])
    return DetectionSample(canvas, *cut(everything, labels, _areas(everything), canvas.shape))


def centered_affine(
    angle: float, scale: float, shear: np.ndarray, center: float, place: np.ndarray
) -> np.ndarray:
    """Return the 3x3 matrix that turns (degrees), scales and shears about a point, then moves it.

    Args:
        angle: of turning, counter-clockwise, in degrees.
        scale: the factor.
        shear: along x and along y, in degrees.
        center: x and y of the point.
        place: where it moves, x and y.
    """
    cos, sin = (scale * f(math.radians(angle)) for f in (math.cos, math.sin))
    along_x, along_y = (math.tan(math.radians(value)) for value in shear)
    linear = np.array([[1, along_x], [along_y, 1]]) @ np.array([[cos, sin], [-sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = place - linear @ np.array([center, center])
    return matrix


def warp(photo: DetectionSample, size: int, matrix: np.ndarray, fill: int) -> DetectionSample:
    """Move the pixels and boxes of a photo onto a square by an affine matrix.

    A box becomes the upright one around its four moved corners.
    """
    back = np.linalg.inv(matrix)[:2].ravel()
    image = Image.fromarray(photo.image).transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(back.tolist()),
        Image.Resampling.BILINEAR,
        fillcolor=(fill,) * 3,
    )
    corners = photo.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:2, :2].T + matrix[:2, 2]
    boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype("float32")
    areas = _areas(photo.boxes) * abs(np.linalg.det(matrix[:2, :2]))
    return DetectionSample(np.asarray(image), *cut(boxes, photo.labels, areas, (size, size)))


def cut(
    boxes: np.ndarray, labels: np.ndarray, areas: np.ndarray, shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes to an image of this shape; drop those of which too little is left.

    Args:
        boxes: the boxes.
        labels: their labels.
        areas: their areas as long as all of them was seen.
        shape: height and width.
    """
    height, width = shape[:2]
    clipped = boxes.clip(0, np.array([width, height] * 2, "float32"))
    sides = clipped[:, 2:] - clipped[:, :2]
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    seen = (shorter > SHORTEST_SIDE) & (longer < LARGEST_ASPECT * shorter)
    seen &= shorter * longer > SMALLEST_SHARE * areas
    return clipped[seen], labels[seen]


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def mixup(
    photo: DetectionSample,
    other: DetectionSample,
    scale: tuple[float, float],
    rng: np.random.Generator,
) -> DetectionSample:
    """Blend a square photo with another one, scaled and cropped at random; keep all boxes."""
    size = len(photo.image)
    factor = rng.uniform(*scale)
    if rng.random() < 0.5:
        other = flip(other)
    room = max(0.0, (factor - 1) * size)
    matrix = np.diag([factor, factor, 1.0])
    matrix[:2, 2] = -rng.uniform(0, room, 2)
    other = warp(padded(other, size), size, matrix, 0)
    total = photo.image.astype("uint16") + other.image
    return DetectionSample(
        (total >> 1).astype("uint8"),
        np.concatenate([photo.boxes, other.boxes]),
        np.concatenate([photo.labels, other.labels]),
    )


def jitter_colors(
    image: np.ndarray, strength: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Shift hue, saturation and value at random, each of them with probability 1/2."""
    hue, saturation, value = rng.uniform(-1, 1, 3) * strength * rng.integers(0, 2, 3)
    if not (hue or saturation or value):
        return image
    linear = color_matrix(2 * hue, 1 + saturation / HALF_SATURATION)
    matrix = np.column_stack([linear, [value] * 3]).ravel()
    return np.asarray(Image.fromarray(image).convert("RGB", tuple(matrix.tolist())))


def color_matrix(angle: float, saturation: float) -> np.ndarray:
    """Return the 3x3 matrix that turns colors around gray and stretches their distance to it.

    Args:
        angle: of turning the hue, in degrees; 120 makes red green.
        saturation: factor; 0 makes everything gray.
    """
    gray = np.full((3, 3), 1 / 3)
    turn = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return gray + saturation * (cos * (np.eye(3) - gray) + sin * turn)


def flip(photo: DetectionSample) -> DetectionSample:
    """Swap left and right."""
    boxes = photo.boxes.copy()
    boxes[:, [0, 2]] = photo.image.shape[1] - photo.boxes[:, [2, 0]]
    image = Image.fromarray(photo.image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return DetectionSample(np.asarray(image), boxes, photo.labels)


def flip_vertically(photo: DetectionSample) -> DetectionSample:
    """Swap top and bottom."""
    boxes = photo.boxes.copy()
    boxes[:, [1, 3]] = photo.image.shape[0] - photo.boxes[:, [3, 1]]
    return DetectionSample(photo.image[::-1], boxes, photo.labels)


def padded(photo: DetectionSample, size: int) -> DetectionSample:
    """Put a photo that fits into the top left corner of a gray square."""
    square = np.full((size, size, 3), PADDING, "uint8")
    square[: photo.image.shape[0], : photo.image.shape[1]] = photo.image
    return photo._replace(image=square)
