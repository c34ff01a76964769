"""Random augmentation of training images for classification.

It runs on the CPU while the model trains, in Pillow and NumPy. Each image has random numbers of its
own, so that a result depends only on the seed and on the index of the image in the sequence.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from cspdarknet._arguments import check_count, check_fraction
from cspdarknet._image_size import ImageSize
from cspdarknet.data.classification import channels
from cspdarknet.data.classification.transforms import (
    Batch,
    cutmix,
    mixup,
    rand_augment,
    random_erase,
    random_resized_crop,
)


@dataclass(frozen=True)
class ClassificationAugmentation:
    """Strength of each random change of a training image; 0 switches a change off.

    Attributes:
        crop_area: smallest and largest fraction of the image's area that a crop shows.
        crop_aspect: smallest and largest ratio of width to height of a crop.
        flip: probability of a left-right flip.
        rand_augment: number of random operations on each image (RandAugment).
        magnitude: largest strength of these operations, in 0..1.
        erase: probability of random erasing.
        mix: probability that a batch is mixed, by MixUp or CutMix with equal probability.
        mixup_alpha: parameter of MixUp's beta distribution; 0 for CutMix only.
        cutmix_alpha: parameter of CutMix's beta distribution; 0 for MixUp only.

    Raises:
        ValueError: if a value is out of its range.

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
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise ValueError(
                "`crop_area` must be two fractions greater than 0 and at most 1, the smaller one "
                f"first. Received: crop_area={self.crop_area}"
            )
        if not 0 < self.crop_aspect[0] <= self.crop_aspect[1]:
            raise ValueError(
                "`crop_aspect` must be two ratios greater than 0, the smaller one first. "
                f"Received: crop_aspect={self.crop_aspect}"
            )
        for name in ("flip", "magnitude", "erase", "mix"):
            check_fraction(name, getattr(self, name))
        check_count("rand_augment", self.rand_augment, least=0)
        if min(self.mixup_alpha, self.cutmix_alpha) < 0:
            raise ValueError(
                "`mixup_alpha` and `cutmix_alpha` must be at least 0. Received: "
                f"mixup_alpha={self.mixup_alpha}, cutmix_alpha={self.cutmix_alpha}"
            )
        if self.mix and not (self.mixup_alpha or self.cutmix_alpha):
            raise ValueError(
                "`mixup_alpha` or `cutmix_alpha` must be greater than 0 where images are mixed. "
                f"Received: mix={self.mix}, mixup_alpha=0, cutmix_alpha=0"
            )

    @property
    def no_mixing(self) -> "ClassificationAugmentation":
        """The same augmentation without MixUp and CutMix."""
        return replace(self, mix=0.0)

    def sample(
        self, image: Image.Image | np.ndarray, size: ImageSize, rng: np.random.Generator
    ) -> np.ndarray:
        """Return an augmented image.

        Args:
            image: an RGB image of any size; or an array `(height, width, channels)` of other
                channels, whose hue and saturation are not changed.
            size: side of the result in pixels, or height and width.
            rng: random number generator.

        Returns:
            uint8 array `(size, size, 3)`; or an array of the channels and the dtype of `image`.

        Example:
            >>> sea = Image.new("RGB", (80, 60), "navy")
            >>> ClassificationAugmentation().sample(sea, 32, np.random.default_rng(0)).shape
            (32, 32, 3)
        """
        if isinstance(image, np.ndarray):
            return self._sample_of_channels(image, size, rng)
        image = random_resized_crop(image, size, self.crop_area, self.crop_aspect, rng)
        if rng.random() < self.flip:
            image = ImageOps.mirror(image)
        image = rand_augment(image, self.rand_augment, self.magnitude, rng)
        pixels = np.array(image)
        if rng.random() < self.erase:
            random_erase(pixels, rng)
        return pixels

    def _sample_of_channels(
        self, image: np.ndarray, size: ImageSize, rng: np.random.Generator
    ) -> np.ndarray:
        pixels = channels.random_resized_crop(image, size, self.crop_area, self.crop_aspect, rng)
        if rng.random() < self.flip:
            pixels = pixels[:, ::-1]
        pixels = channels.rand_augment(pixels, self.rand_augment, self.magnitude, rng)
        if rng.random() < self.erase:
            pixels = pixels.copy()
            random_erase(pixels, rng)
        return pixels

    def batch(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return a batch `(images, labels)`, mixed by MixUp or CutMix with probability `mix`."""
        if rng.random() >= self.mix:
            return batch
        use_cutmix = self.cutmix_alpha and (not self.mixup_alpha or rng.random() < 0.5)
        if use_cutmix:
            return cutmix(batch, self.cutmix_alpha, rng)
        return mixup(batch, self.mixup_alpha, rng)
