"""Random transforms for classification of images of any number of channels, in up to 16 bits.

RandAugment has the operations here that make sense for any channels: movements, brightness and
contrast. Hue, saturation and operations on 8 bits, such as posterizing, are left out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.data.classification.transforms import affine, random_box
from cspdarknet.images import map_planes

FILL = 128  # value of the pixels that a transform moves in from outside the image
Plane = Callable[[Image.Image, float], Image.Image]


def random_resized_crop(
    pixels: np.ndarray,
    size: ImageSize,
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Crop a rectangle of random area and aspect ratio, and resize it; as of `transforms`."""
    height, width = sides(size)
    box = random_box((pixels.shape[1], pixels.shape[0]), area, aspect, rng)
    return map_planes(
        pixels,
        lambda plane: plane.resize(
            (width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0
        ),
    )


def _moved(operation: Plane) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda pixels, m: map_planes(pixels, lambda plane: operation(plane, m))


def _changed(pixels: np.ndarray, factor: float, pivot: Any) -> np.ndarray:
    """Scale the distance of each value to a pivot."""
    values = (pivot + factor * (pixels.astype("float32") - pivot)).clip(0, 255)
    return np.rint(values).astype("uint8") if pixels.dtype == np.uint8 else values


# From an image and a strength in -1..1 to an image, with the ranges of `transforms.OPERATIONS`.
OPERATIONS: tuple[Callable[[np.ndarray, float], np.ndarray], ...] = (
    _moved(lambda image, m: image.rotate(30 * m, Image.Resampling.BILINEAR, fillcolor=FILL)),
    _moved(lambda image, m: affine(image, (1, 0.3 * m, 0, 0, 1, 0), FILL)),
    _moved(lambda image, m: affine(image, (1, 0, 0, 0.3 * m, 1, 0), FILL)),
    _moved(lambda image, m: affine(image, (1, 0, 0.45 * m * image.width, 0, 1, 0), FILL)),
    _moved(lambda image, m: affine(image, (1, 0, 0, 0, 1, 0.45 * m * image.height), FILL)),
    lambda pixels, m: _changed(pixels, 1 + 0.9 * m, np.float32(0)),
    lambda pixels, m: _changed(pixels, 1 + 0.9 * m, pixels.mean(axis=(0, 1), dtype="float32")),
)


def rand_augment(
    pixels: np.ndarray, count: int, magnitude: float, rng: np.random.Generator
) -> np.ndarray:
    """Apply random operations of random strength, as RandAugment does; as of `transforms`."""
    for _ in range(count):
        operation = OPERATIONS[rng.integers(len(OPERATIONS))]
        pixels = operation(pixels, float(rng.uniform(-magnitude, magnitude)))
    return pixels
