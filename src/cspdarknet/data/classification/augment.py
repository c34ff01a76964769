"""Random changes of a photo, and of a batch, that keep its meaning.

They run on the processor while the network trains, in Pillow and NumPy: each photo has its own
random numbers, so that a result depends on nothing but the seed, the epoch and the photo's place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

GRAY = (128, 128, 128)
Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ClassificationAugmentation:
    """How strongly training photos are changed; 0 switches a change off.

    Attributes:
        crop_area: smallest and largest share of the photo's area that a crop shows.
        crop_aspect: narrowest and widest ratio of width to height of a crop.
        flip: probability of a left-right flip.
        rand_augment: number of random operations on each photo (RandAugment).
        magnitude: their strength, 0 to 1.
        erase: probability of erasing a rectangle (random erasing).
        mix: probability that a batch is mixed, by MixUp or CutMix in turn of a coin.
        mixup_alpha: parameter of MixUp's beta distribution; 0 leaves CutMix alone.
        cutmix_alpha: parameter of CutMix's beta distribution; 0 leaves MixUp alone.

    References:
        RandAugment (https://arxiv.org/abs/1909.13719), random erasing
        (https://arxiv.org/abs/1708.04896), MixUp (https://arxiv.org/abs/1710.09412), CutMix
        (https://arxiv.org/abs/1905.04899).
    """

    crop_area: tuple[float, float] = (0.3, 1.0)
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    rand_augment: int = 2
    magnitude: float = 0.4
    erase: float = 0.2
    mix: float = 0.0
    mixup_alpha: float = 0.4
    cutmix_alpha: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise ValueError(f"`crop_area` must be two shares in 0..1. Received: {self.crop_area}")
        if not 0 < self.crop_aspect[0] <= self.crop_aspect[1]:
            raise ValueError(f"`crop_aspect` must be two ratios. Received: {self.crop_aspect}")
        for name in ("flip", "magnitude", "erase", "mix"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in 0..1. Received: {getattr(self, name)}")
        if min(self.rand_augment, self.mixup_alpha, self.cutmix_alpha) < 0:
            raise ValueError("`rand_augment` and the alphas must be 0 or more.")
        if self.mix and not (self.mixup_alpha or self.cutmix_alpha):
            raise ValueError("`mix` needs `mixup_alpha` or `cutmix_alpha`.")

    def photo(self, image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return a changed photo as a uint8 array `(size, size, 3)`."""
        image = random_resized_crop(image, size, self.crop_area, self.crop_aspect, rng)
        if rng.random() < self.flip:
            image = ImageOps.mirror(image)
        image = rand_augment(image, self.rand_augment, self.magnitude, rng)
        pixels = np.array(image)
        if rng.random() < self.erase:
            random_erase(pixels, rng)
        return pixels

    def batch(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return a batch `(images, labels)` in which pairs of photos may be mixed."""
        if rng.random() >= self.mix:
            return batch
        cut = bool(self.cutmix_alpha and (not self.mixup_alpha or rng.random() < 0.5))
        return cutmix(batch, self.cutmix_alpha, rng) if cut else mixup(batch, self.mixup_alpha, rng)


def random_resized_crop(
    image: Image.Image,
    size: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> Image.Image:
    """Cut out a rectangle of random area and aspect, and resize it to a square."""
    width, height = image.size
    for _ in range(10):
        pixels = width * height * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        w, h = max(1, round(math.sqrt(pixels * ratio))), max(1, round(math.sqrt(pixels / ratio)))
        if w <= width and h <= height:
            break
    else:  # a photo too long for any such rectangle
        w = h = min(width, height)
    left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    box = (left, top, left + w, top + h)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=GRAY
    )


# RandAugment's operations: photo and strength in -1..1, to photo. The ranges are those of the
# paper's 30 degrees, 0.3 of shear and 0.45 of the side, and of factors from 0.1 to 1.9.
OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, m: image.rotate(30 * m, Image.Resampling.BILINEAR, fillcolor=GRAY),
    lambda image, m: _affine(image, (1, 0.3 * m, 0, 0, 1, 0)),
    lambda image, m: _affine(image, (1, 0, 0, 0.3 * m, 1, 0)),
    lambda image, m: _affine(image, (1, 0, 0.45 * m * image.width, 0, 1, 0)),
    lambda image, m: _affine(image, (1, 0, 0, 0, 1, 0.45 * m * image.height)),
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
    """Apply `count` random operations of random direction, with up to this strength."""
    for _ in range(count):
        operation = OPERATIONS[rng.integers(len(OPERATIONS))]
        image = operation(image, float(rng.uniform(-magnitude, magnitude)))
    return image


def random_erase(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Paint over a rectangle of 2 to 25 % of the area, in place, with one random color."""
    height, width = pixels.shape[:2]
    area = height * width * rng.uniform(0.02, 0.25)
    ratio = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
    h = min(height, max(1, round(math.sqrt(area * ratio))))
    w = min(width, max(1, round(math.sqrt(area / ratio))))
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    pixels[top : top + h, left : left + w] = rng.integers(0, 256, 3)


def mixup(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """Blend each photo and label with those of a partner."""
    partner = rng.permutation(len(batch[0]))
    share = np.float32(rng.beta(alpha, alpha))
    images, labels = (share * part + (1 - share) * part[partner] for part in batch)
    return images, labels


def cutmix(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """Paste a rectangle of a partner into each photo, and blend the labels by area."""
    images, labels = batch
    partner = rng.permutation(len(images))
    side = math.sqrt(1 - rng.beta(alpha, alpha))
    height, width = images.shape[1:3]
    rows, columns = _span(height, side, rng), _span(width, side, rng)
    images = images.copy()
    images[:, rows, columns] = batch[0][partner][:, rows, columns]
    covered = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    share = np.float32(1 - covered)
    return images, share * labels + (1 - share) * labels[partner]


def _span(length: int, share: float, rng: np.random.Generator) -> slice:
    center, half = int(rng.integers(length)), length * share / 2
    return slice(max(0, round(center - half)), min(length, round(center + half)))
