"""Random transforms of images and batches for classification, in Pillow and NumPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from cspdarknet._image_size import ImageSize, sides

# Color of the pixels that a transform moves in from outside the image.
FILL = (128, 128, 128)
# Float32 images `(batch, height, width, channels)` and labels `(batch, classes)`.
Batch = tuple[np.ndarray, np.ndarray]


def random_resized_crop(
    image: Image.Image,
    size: ImageSize,
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> Image.Image:
    """Crop a rectangle of random area and aspect ratio, and resize it.

    Args:
        image: an RGB image.
        size: side of the resulting square in pixels, or height and width.
        area: smallest and largest fraction of the image's area.
        aspect: smallest and largest ratio of width to height.
        rng: random number generator.

    References:
        `RandomResizedCrop` of torchvision. An image that is too elongated for any such rectangle is
        cropped to a square instead.
    """
    height, width = sides(size)
    box = random_box(image.size, area, aspect, rng)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


def random_box(
    size: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Return the box of `random_resized_crop` in an image of a width and height."""
    width, height = size
    for _ in range(10):
        pixels = width * height * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        w, h = max(1, round(math.sqrt(pixels * ratio))), max(1, round(math.sqrt(pixels / ratio)))
        if w <= width and h <= height:
            break
    else:  # an image too elongated for any such rectangle
        w = h = min(width, height)
    left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    return left, top, left + w, top + h


def affine(image: Image.Image, matrix: tuple[float, ...], fill: Any = FILL) -> Image.Image:
    """Move the pixels of an image by the six numbers of an affine matrix, as Pillow does."""
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill
    )


# The operations of RandAugment, each from an image and a strength in -1..1 to an image. The ranges
# are those of the paper: 30 degrees, 0.3 of shear, 0.45 of the side, and factors of 0.1 to 1.9.
OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, m: image.rotate(30 * m, Image.Resampling.BILINEAR, fillcolor=FILL),
    lambda image, m: affine(image, (1, 0.3 * m, 0, 0, 1, 0)),
    lambda image, m: affine(image, (1, 0, 0, 0.3 * m, 1, 0)),
    lambda image, m: affine(image, (1, 0, 0.45 * m * image.width, 0, 1, 0)),
    lambda image, m: affine(image, (1, 0, 0, 0, 1, 0.45 * m * image.height)),
    lambda image, m: ImageEnhance.Brightness(image).enhance(1 + 0.9 * m),
    lambda image, m: ImageEnhance.Contrast(image).enhance(1 + 0.9 * m),
    lambda image, m: ImageEnhance.Color(image).enhance(1 + 0.9 * m),
    lambda image, m: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * m),
    lambda image, m: ImageOps.posterize(image, 8 - round(4 * abs(m))),
    lambda image, m: ImageOps.solarize(image, 256 - round(128 * abs(m))),
    lambda image, _: ImageOps.autocontrast(image),
    lambda image, _: ImageOps.equalize(image),
)


def rand_augment(
    image: Image.Image, count: int, magnitude: float, rng: np.random.Generator
) -> Image.Image:
    """Apply random operations of random strength, as RandAugment does.

    Args:
        image: an RGB image.
        count: number of operations.
        magnitude: largest strength of an operation, in 0..1.
        rng: random number generator.
    """
    for _ in range(count):
        operation = OPERATIONS[rng.integers(len(OPERATIONS))]
        image = operation(image, float(rng.uniform(-magnitude, magnitude)))
    return image


def random_erase(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Fill a rectangle of 2 to 25 % of the area with one random color, in place."""
    height, width = pixels.shape[:2]
    area = height * width * rng.uniform(0.02, 0.25)
    ratio = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
    h = min(height, max(1, round(math.sqrt(area * ratio))))
    w = min(width, max(1, round(math.sqrt(area / ratio))))
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    pixels[top : top + h, left : left + w] = rng.integers(0, 256, pixels.shape[2])


def mixup(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """Blend each image and its label with those of a random partner.

    Args:
        batch: images and labels.
        alpha: parameter of the beta distribution of the blending weight.
        rng: random number generator.
    """
    partner = rng.permutation(len(batch[0]))
    weight = np.float32(rng.beta(alpha, alpha))
    images, labels = (weight * values + (1 - weight) * values[partner] for values in batch)
    return images, labels


def cutmix(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """Paste a rectangle of a random partner into each image, and blend the labels by area.

    Args:
        batch: images and labels.
        alpha: parameter of the beta distribution of the area that is kept.
        rng: random number generator.
    """
    images, labels = batch
    partner = rng.permutation(len(images))
    side = math.sqrt(1 - rng.beta(alpha, alpha))
    height, width = images.shape[1:3]
    rows, columns = _random_span(height, side, rng), _random_span(width, side, rng)
    images = images.copy()
    images[:, rows, columns] = batch[0][partner][:, rows, columns]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    weight = np.float32(1 - pasted)
    return images, weight * labels + (1 - weight) * labels[partner]


def _random_span(length: int, fraction: float, rng: np.random.Generator) -> slice:
    """Return a slice of about this fraction of an axis around a random center, cut at the ends."""
    center, half = int(rng.integers(length)), length * fraction / 2
    return slice(max(0, round(center - half)), min(length, round(center + half)))
