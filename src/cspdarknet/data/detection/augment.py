"""Random augmentation of training images for detection: mosaic, warp, MixUp, colors and flips.

It runs on the CPU while the model trains.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cspdarknet._arguments import check_fraction
from cspdarknet._image_size import ImageSize, scaled, sides
from cspdarknet.data.detection.copy_paste import copy_paste
from cspdarknet.data.detection.transforms import (
    DetectionSample,
    affine_matrix,
    flip_horizontal,
    flip_vertical,
    jitter_colors,
    mixup,
    mosaic,
    pad,
    warp,
)
from cspdarknet.yolox.letterbox import PADDING


@dataclass(frozen=True)
class DetectionAugmentation:
    """Strength of each random change of a training image with boxes; 0 switches a change off.

    The defaults are those of YOLOX's published small models. As in their training, a mosaic is
    rotated and scaled about its center, and boxes of which little is left are dropped; later
    versions of YOLOX crop the top left quarter instead.

    Attributes:
        mosaic: probability that an image becomes one of four of a mosaic.
        mosaic_scale: smallest and largest factor by which a mosaic is scaled.
        degrees: largest angle by which a mosaic is rotated, in either direction.
        translate: largest shift of a mosaic, as a fraction of the image's side.
        shear: largest angle by which a mosaic is sheared, in degrees.
        mixup: probability that a mosaic is blended with one more image.
        mixup_scale: smallest and largest factor by which that image is scaled.
        shift: probability that an image that is not part of a mosaic is moved to a random place,
            and up to `translate` beyond the border. Without it, such images always begin at the top
            left corner, and a detector becomes best there.
        copy_paste: probability that objects of another image are pasted at random places.
        hsv: largest shifts of hue (of 180 for a full turn), saturation and value (of 255), each
            applied with probability 1/2. A linear color transform approximates the change in HSV:
            it is ten times faster, and gray stays gray.
        flip: probability of a left-right flip.
        flip_vertical: probability of an upside-down flip, for images without an upright direction,
            such as microscopic or aerial images.
        multi_scale: smallest and largest factor of the image size, which is drawn for each batch
            among the multiples of 32.

    Raises:
        ValueError: if a value is out of its range.

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
    shift: float = 0.0
    copy_paste: float = 0.0
    hsv: tuple[float, float, float] = (5.0, 30.0, 30.0)
    flip: float = 0.5
    flip_vertical: float = 0.0
    multi_scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        names = ("mosaic", "mixup", "shift", "copy_paste", "flip", "flip_vertical", "translate")
        for name in names:
            check_fraction(name, getattr(self, name))
        for name in ("mosaic_scale", "mixup_scale", "multi_scale"):
            factors = getattr(self, name)
            if len(factors) != 2 or not 0 < factors[0] <= factors[1] < math.inf:
                raise ValueError(
                    f"`{name}` must be two finite factors greater than 0, the smaller one first. "
                    f"Received: {name}={factors}"
                )
        for name, limit in (("degrees", 180), ("shear", 45)):
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise ValueError(f"`{name}` must be in 0..{limit}. Received: {name}={value}")
        if len(self.hsv) != 3 or not all(0 <= value <= 255 for value in self.hsv):
            raise ValueError(f"`hsv` must be three numbers in 0..255. Received: hsv={self.hsv}")

    @property
    def no_mixing(self) -> "DetectionAugmentation":
        """The same augmentation without copy-paste and mosaic, and so without warp and MixUp."""
        return replace(self, mosaic=0.0, copy_paste=0.0)

    def sample(
        self,
        sample: DetectionSample,
        partner: Callable[[], DetectionSample],
        size: ImageSize,
        rng: np.random.Generator,
    ) -> DetectionSample:
        """Return an augmented sample on a square or rectangle.

        Args:
            sample: an image with boxes, resized to fit the size.
            partner: returns another such sample, for mosaic, MixUp and copy-paste.
            size: side of the square in pixels, or height and width.
            rng: random number generator.

        Example:
            >>> gray = np.full((48, 64, 3), 128, "uint8")
            >>> boxes = np.array([[8, 6, 40, 30]], "float32")
            >>> sample = DetectionSample(gray, boxes, np.array([0], "int32"))
            >>> flips = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=1)
            >>> flipped = flips.sample(sample, lambda: sample, 64, np.random.default_rng(0))
            >>> flipped.image.shape, flipped.boxes
            ((64, 64, 3), array([[24.,  6., 56., 30.]], dtype=float32))
        """
        is_mosaic = rng.random() < self.mosaic
        if is_mosaic:
            sample = self._mosaic([sample, partner(), partner(), partner()], size, rng)
            if rng.random() < self.mixup:
                sample = mixup(sample, partner(), self.mixup_scale, rng)
        if self.copy_paste and rng.random() < self.copy_paste:  # else nothing is drawn
            sample = copy_paste(sample, partner(), rng)
        sample = sample._replace(image=jitter_colors(sample.image, self.hsv, rng))
        if rng.random() < self.flip:
            sample = flip_horizontal(sample)
        if rng.random() < self.flip_vertical:
            sample = flip_vertical(sample)
        if self.shift and not is_mosaic and rng.random() < self.shift:  # else nothing is drawn
            sample = self._shifted(sample, size, rng)
        return pad(sample, size)

    def _shifted(
        self, sample: DetectionSample, size: ImageSize, rng: np.random.Generator
    ) -> DetectionSample:
        height, width = sides(size)
        beyond = self.translate * np.array([width, height])
        room = np.array([width, height]) - sample.image.shape[1::-1]
        matrix = np.eye(3)
        matrix[:2, 2] = rng.uniform(-beyond, room + beyond).round()  # whole pixels blur nothing
        return warp(sample, size, matrix, PADDING)

    def _mosaic(
        self, samples: list[DetectionSample], size: ImageSize, rng: np.random.Generator
    ) -> DetectionSample:
        center = np.array(sides(size)[::-1], "float64")
        x, y = rng.uniform(0.5 * center, 1.5 * center).astype(int)
        canvas = mosaic(samples, size, x, y)
        matrix = affine_matrix(
            angle=rng.uniform(-self.degrees, self.degrees),
            scale=rng.uniform(*self.mosaic_scale),
            shear=rng.uniform(-self.shear, self.shear, 2),
            center=center,
            target=center * (0.5 + rng.uniform(-self.translate, self.translate, 2)),
        )
        return warp(canvas, size, matrix, PADDING)

    def image_size(self, size: ImageSize, rng: np.random.Generator) -> ImageSize:
        """Draw the image size of a batch, from the range of `multi_scale` times `size`.

        The shorter side is drawn; the longer one keeps its ratio to it, to the next multiple of 32.
        """
        shorter = min(sides(size))
        low, high = (max(1, round(factor * shorter / 32)) for factor in self.multi_scale)
        if low == high:
            return size
        return scaled(size, 32 * int(rng.integers(low, high + 1)) / shorter, 32)
