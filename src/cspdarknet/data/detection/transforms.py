"""Transforms of images with boxes for detection, in Pillow and NumPy.

Coordinates are those of pixel edges: an image extends from 0 to its width. Random transforms draw
from the given generator only.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from cspdarknet.yolox.letterbox import PADDING

# Minimum remainder of a box that is cut off or warped: pixels of the shorter side, and fraction of
# its area; and the largest ratio of the longer to the shorter side.
MIN_SIDE = 2.0
MIN_AREA_FRACTION = 0.2
MAX_ASPECT = 20.0
# Saturation (0..255) at which a shift of the saturation equals the factor that stands in for it.
MEDIUM_SATURATION = 128


class DetectionSample(NamedTuple):
    """An image and its boxes.

    Attributes:
        image: uint8 array `(height, width, 3)`.
        boxes: float32 array `(n, 4)`: left, top, right, bottom in pixels.
        labels: int32 array `(n,)`, the class id of each box.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def mosaic(samples: Sequence[DetectionSample], size: int, x: int, y: int) -> DetectionSample:
    """Place four samples around a point of a canvas of twice the size.

    Args:
        samples: four samples, each at most `size` wide and high. They go to the top left, top
            right, bottom left and bottom right of the point.
        size: half the side of the canvas, in pixels.
        x: horizontal position of the point, in pixels.
        y: vertical position of the point, in pixels.

    References:
        YOLOv4 (https://arxiv.org/abs/2004.10934).
    """
    canvas = np.full((2 * size, 2 * size, 3), PADDING, "uint8")
    moved = []
    for i, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        left, top = x - width * (i % 2 == 0), y - height * (i < 2)
        rows = slice(max(top, 0), min(top + height, 2 * size))
        columns = slice(max(left, 0), min(left + width, 2 * size))
        canvas[rows, columns] = sample.image[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        moved.append(sample.boxes + np.array([left, top, left, top], "float32"))
    boxes = np.concatenate(moved)
    labels = np.concatenate([sample.labels for sample in samples])
    return DetectionSample(canvas, *clip_boxes(boxes, labels, _areas(boxes), canvas.shape))


def affine_matrix(
    angle: float, scale: float, shear: np.ndarray, center: float, target: np.ndarray
) -> np.ndarray:
    """Return the 3x3 matrix that rotates, scales and shears about a point, and then moves it.

    Args:
        angle: angle of rotation, counter-clockwise, in degrees.
        scale: factor of scaling.
        shear: angles of shearing along x and along y, in degrees.
        center: the point's x and y, which are equal.
        target: x and y to which the point is moved.
    """
    cos, sin = (scale * f(math.radians(angle)) for f in (math.cos, math.sin))
    along_x, along_y = (math.tan(math.radians(value)) for value in shear)
    linear = np.array([[1, along_x], [along_y, 1]]) @ np.array([[cos, sin], [-sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = target - linear @ np.array([center, center])
    return matrix


def warp(sample: DetectionSample, size: int, matrix: np.ndarray, fill: int) -> DetectionSample:
    """Move the pixels and boxes of a sample onto a square by an affine matrix.

    A box becomes the upright bounding box of its four moved corners.

    Args:
        sample: the sample.
        size: side of the square, in pixels.
        matrix: 3x3 matrix from the sample's coordinates to those of the square.
        fill: gray value of the pixels beyond the sample.
    """
    inverse = np.linalg.inv(matrix)[:2].ravel()
    image = Image.fromarray(sample.image).transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(inverse.tolist()),
        Image.Resampling.BILINEAR,
        fillcolor=(fill,) * 3,
    )
    corners = sample.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:2, :2].T + matrix[:2, 2]
    boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype("float32")
    areas = _areas(sample.boxes) * abs(np.linalg.det(matrix[:2, :2]))
    return DetectionSample(
        np.asarray(image), *clip_boxes(boxes, sample.labels, areas, (size, size))
    )


def clip_boxes(
    boxes: np.ndarray, labels: np.ndarray, areas: np.ndarray, shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes to an image, and drop those of which too little is left.

    Args:
        boxes: float32 array `(n, 4)`.
        labels: int array `(n,)`.
        areas: float array `(n,)`, area of each box before anything was cut off, in pixels.
        shape: height and width of the image.
    """
    height, width = shape[:2]
    clipped = boxes.clip(0, np.array([width, height] * 2, "float32"))
    sides = clipped[:, 2:] - clipped[:, :2]
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    keep = (shorter > MIN_SIDE) & (longer < MAX_ASPECT * shorter)
    keep &= shorter * longer > MIN_AREA_FRACTION * areas
    return clipped[keep], labels[keep]


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def mixup(
    sample: DetectionSample,
    other: DetectionSample,
    scale: tuple[float, float],
    rng: np.random.Generator,
) -> DetectionSample:
    """Blend a square sample with another one at equal weights, and keep the boxes of both.

    Args:
        sample: a square sample.
        other: the other sample, which is flipped, scaled and cropped at random.
        scale: smallest and largest factor of its scaling.
        rng: random number generator.

    References:
        MixUp (https://arxiv.org/abs/1710.09412), with YOLOX's equal weights.
    """
    size = len(sample.image)
    factor = rng.uniform(*scale)
    if rng.random() < 0.5:
        other = flip_horizontal(other)
    room = max(0.0, (factor - 1) * size)
    matrix = np.diag([factor, factor, 1.0])
    matrix[:2, 2] = -rng.uniform(0, room, 2)
    other = warp(pad_to_square(other, size), size, matrix, 0)
    total = sample.image.astype("uint16") + other.image
    return DetectionSample(
        (total >> 1).astype("uint8"),
        np.concatenate([sample.boxes, other.boxes]),
        np.concatenate([sample.labels, other.labels]),
    )


def jitter_colors(
    image: np.ndarray, strength: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Shift hue, saturation and value at random, each with probability 1/2.

    Args:
        image: uint8 array `(height, width, 3)`.
        strength: largest shifts of hue (of 180 for a full turn), saturation and value (of 255).
        rng: random number generator.
    """
    hue, saturation, value = rng.uniform(-1, 1, 3) * strength * rng.integers(0, 2, 3)
    if not (hue or saturation or value):
        return image
    linear = color_matrix(2 * hue, 1 + saturation / MEDIUM_SATURATION)
    matrix = np.column_stack([linear, [value] * 3]).ravel()
    return np.asarray(Image.fromarray(image).convert("RGB", tuple(matrix.tolist())))


def color_matrix(angle: float, saturation: float) -> np.ndarray:
    """Return the 3x3 matrix that rotates RGB colors about the gray axis and scales saturation.

    Args:
        angle: rotation of the hue, in degrees; 120 turns red into green.
        saturation: factor of the distance to the gray axis; 0 makes everything gray.
    """
    gray = np.full((3, 3), 1 / 3)
    turn = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return gray + saturation * (cos * (np.eye(3) - gray) + sin * turn)


def flip_horizontal(sample: DetectionSample) -> DetectionSample:
    """Flip a sample left to right."""
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = sample.image.shape[1] - sample.boxes[:, [2, 0]]
    image = Image.fromarray(sample.image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return DetectionSample(np.asarray(image), boxes, sample.labels)


def flip_vertical(sample: DetectionSample) -> DetectionSample:
    """Flip a sample upside down."""
    boxes = sample.boxes.copy()
    boxes[:, [1, 3]] = sample.image.shape[0] - sample.boxes[:, [3, 1]]
    return DetectionSample(sample.image[::-1], boxes, sample.labels)


def pad_to_square(sample: DetectionSample, size: int) -> DetectionSample:
    """Place a sample that is at most `size` wide and high at the top left of a gray square."""
    square = np.full((size, size, 3), PADDING, "uint8")
    square[: sample.image.shape[0], : sample.image.shape[1]] = sample.image
    return sample._replace(image=square)
