"""Transforms of images with boxes for detection, in Pillow and NumPy.

Coordinates are those of pixel edges: an image extends from 0 to its width. Random transforms draw
from the given generator only.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.images import RGB, map_planes
from cspdarknet.yolox.letterbox import gray_image

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
        image: uint8 or float32 array `(height, width, channels)` in 0..255.
        boxes: float32 array `(n, 4)`: left, top, right, bottom in pixels.
        labels: int32 array `(n,)`, the class id of each box.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def mosaic(samples: Sequence[DetectionSample], size: ImageSize, x: int, y: int) -> DetectionSample:
    """Place four samples around a point of a canvas of twice the size.

    Args:
        samples: four samples, each at most `size` wide and high. They go to the top left, top
            right, bottom left and bottom right of the point.
        size: half the side of the canvas in pixels, or half its height and width.
        x: horizontal position of the point, in pixels.
        y: vertical position of the point, in pixels.

    References:
        YOLOv4 (https://arxiv.org/abs/2004.10934).
    """
    canvas_height, canvas_width = (2 * side for side in sides(size))
    dtype = np.result_type(*(sample.image for sample in samples))
    channels = samples[0].image.shape[2]
    canvas = gray_image((canvas_height, canvas_width), channels, dtype)
    moved = []
    for i, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        left, top = x - width * (i % 2 == 0), y - height * (i < 2)
        rows = slice(max(top, 0), min(top + height, canvas_height))
        columns = slice(max(left, 0), min(left + width, canvas_width))
        canvas[rows, columns] = sample.image[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        moved.append(sample.boxes + np.array([left, top, left, top], "float32"))
    boxes = np.concatenate(moved)
    labels = np.concatenate([sample.labels for sample in samples])
    return DetectionSample(canvas, *clip_boxes(boxes, labels, _areas(boxes), canvas.shape))


def affine_matrix(
    angle: float, scale: float, shear: np.ndarray, center: Any, target: np.ndarray
) -> np.ndarray:
    """Return the 3x3 matrix that rotates, scales and shears about a point, and then moves it.

    Args:
        angle: angle of rotation, counter-clockwise, in degrees.
        scale: factor of scaling.
        shear: angles of shearing along x and along y, in degrees.
        center: the point's x and y; one number if they are equal.
        target: x and y to which the point is moved.
    """
    cos, sin = (scale * f(math.radians(angle)) for f in (math.cos, math.sin))
    along_x, along_y = (math.tan(math.radians(value)) for value in shear)
    linear = np.array([[1, along_x], [along_y, 1]]) @ np.array([[cos, sin], [-sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = target - linear @ np.broadcast_to(center, 2)
    return matrix


def warp(
    sample: DetectionSample, size: ImageSize, matrix: np.ndarray, fill: int
) -> DetectionSample:
    """Move the pixels and boxes of a sample onto a square or rectangle by an affine matrix.

    A box becomes the upright bounding box of its four moved corners.

    Args:
        sample: the sample.
        size: side of the square in pixels, or height and width.
        matrix: 3x3 matrix from the sample's coordinates to those of the square.
        fill: gray value of the pixels beyond the sample.
    """
    height, width = sides(size)
    inverse = tuple(np.linalg.inv(matrix)[:2].ravel().tolist())

    def move(image: Image.Image) -> Image.Image:
        color = (fill,) * 3 if image.mode == "RGB" else fill
        return image.transform(
            (width, height),
            Image.Transform.AFFINE,
            inverse,
            Image.Resampling.BILINEAR,
            fillcolor=color,
        )

    if sample.image.shape[2] == RGB:
        image = np.asarray(move(Image.fromarray(sample.image)))
    else:
        image = map_planes(sample.image, move)
    corners = sample.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:2, :2].T + matrix[:2, 2]
    boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype("float32")
    areas = _areas(sample.boxes) * abs(np.linalg.det(matrix[:2, :2]))
    return DetectionSample(image, *clip_boxes(boxes, sample.labels, areas, (height, width)))


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
    """Blend a sample with another one at equal weights, and keep the boxes of both.

    Args:
        sample: a sample.
        other: the other sample, at most as wide and high, which is flipped, scaled and cropped at
            random.
        scale: smallest and largest factor of its scaling.
        rng: random number generator.

    References:
        MixUp (https://arxiv.org/abs/1710.09412), with YOLOX's equal weights.
    """
    size = sample.image.shape[:2]
    factor = rng.uniform(*scale)
    if rng.random() < 0.5:
        other = flip_horizontal(other)
    room = np.array([max(0.0, (factor - 1) * side) for side in size[::-1]])
    matrix = np.diag([factor, factor, 1.0])
    matrix[:2, 2] = -rng.uniform(0, room, 2)
    other = warp(pad(other, size), size, matrix, 0)
    if sample.image.dtype == other.image.dtype == np.uint8:
        blended = ((sample.image.astype("uint16") + other.image) >> 1).astype("uint8")
    else:
        blended = (sample.image.astype("float32") + other.image) / 2
    return DetectionSample(
        blended,
        np.concatenate([sample.boxes, other.boxes]),
        np.concatenate([sample.labels, other.labels]),
    )


def jitter_colors(
    image: np.ndarray, strength: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Shift hue, saturation and value at random, each with probability 1/2.

    Images of other than three channels have no hue and saturation: the value of all channels is
    shifted alike.

    Args:
        image: uint8 or float32 array `(height, width, channels)`.
        strength: largest shifts of hue (of 180 for a full turn), saturation and value (of 255).
        rng: random number generator.
    """
    hue, saturation, value = rng.uniform(-1, 1, 3) * strength * rng.integers(0, 2, 3)
    if image.shape[2] != RGB:
        return _brighter(image, value) if value else image
    if not (hue or saturation or value):
        return image
    linear = color_matrix(2 * hue, 1 + saturation / MEDIUM_SATURATION)
    matrix = np.column_stack([linear, [value] * 3]).ravel()
    return np.asarray(Image.fromarray(image).convert("RGB", tuple(matrix.tolist())))


def _brighter(image: np.ndarray, value: float) -> np.ndarray:
    """Add a value to all channels."""
    shifted = (image.astype("float32") + np.float32(value)).clip(0, 255)
    return np.rint(shifted).astype("uint8") if image.dtype == np.uint8 else shifted


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
    if sample.image.shape[2] == RGB:  # Pillow is faster
        flipped = Image.fromarray(sample.image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return DetectionSample(np.asarray(flipped), boxes, sample.labels)
    return DetectionSample(sample.image[:, ::-1], boxes, sample.labels)


def flip_vertical(sample: DetectionSample) -> DetectionSample:
    """Flip a sample upside down."""
    boxes = sample.boxes.copy()
    boxes[:, [1, 3]] = sample.image.shape[0] - sample.boxes[:, [3, 1]]
    return DetectionSample(sample.image[::-1], boxes, sample.labels)


def pad(sample: DetectionSample, size: ImageSize) -> DetectionSample:
    """Place a sample that is at most `size` wide and high at the top left of a gray image."""
    padded = gray_image(size, sample.image.shape[2], sample.image.dtype)
    padded[: sample.image.shape[0], : sample.image.shape[1]] = sample.image
    return sample._replace(image=padded)
