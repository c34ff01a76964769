"""Training batches for image classification."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.data.classification.augment import ClassificationAugmentation
from cspdarknet.data.classification.channels import FILL
from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.dataset import ImageDataset
from cspdarknet.data.pipeline import TrainingSource
from cspdarknet.images import RGB, ImageError, open_image, pixels_of


@dataclass(frozen=True)
class CropSource(TrainingSource):
    """Base class of the sources of classification and regression: random crops of images."""

    dataset: ImageDataset
    augmentation: ClassificationAugmentation

    def crop(
        self, index: int, size: ImageSize, rng: np.random.Generator
    ) -> tuple[np.ndarray, bool]:
        """Return one augmented image, and whether it could be read; else it is gray."""
        path = self.dataset.paths[index]
        try:
            needed = 2 * round(max(sides(size)) / self.augmentation.crop_area[0] ** 0.5)
            # The smallest crop of an image of this size still has the pixels of the result.
            image = self._decoded(path, needed)
        except ImageError as error:
            self.failures[path] = str(error)
            dtype = "uint8" if self.channels == RGB else "float32"
            return np.full((*sides(size), self.channels), FILL, dtype), False
        pixels = self.augmentation.sample(image, size, rng)
        if self.channels != RGB:  # images of 8 bits and of more, in one batch
            pixels = pixels.astype("float32")
        return pixels, True

    def _decoded(self, path: Path, longer_side: int) -> Image.Image | np.ndarray:
        """Return an image of at least this size: from the disk, or decoded."""
        if self.channels != RGB:
            return self._decoded_channels(path)
        if self.disk_cache is None:
            return open_image(path, longer_side)
        pixels, _ = self.disk_cache.get(
            path,
            f"longer side {longer_side}",
            lambda: (np.asarray(open_image(path, longer_side)), 1.0),
        )
        return Image.fromarray(pixels)

    def _decoded_channels(self, path: Path) -> np.ndarray:
        """Return an image of other channels than RGB, in full."""
        if self.disk_cache is None:
            return pixels_of(path, self.channels)
        return self.disk_cache.get(
            path, "channels", lambda: (pixels_of(path, self.channels), 1.0), self.channels
        )[0]


@dataclass(frozen=True)
class ClassificationSource(CropSource):
    """Data source of `training_batches` for a classifier.

    Attributes: those of `TrainingSource`, and:
        class_weights: float array `(classes,)`, the weight of each class in the loss; `None` for
            equal weights.

    Example:
        >>> Image.new("RGB", (80, 60), "navy").save("sea.png")
        >>> dataset = ClassificationDataset(("land", "sea"), (Path("sea.png"),), np.array([1]))
        >>> source = ClassificationSource(dataset, ClassificationAugmentation(), batch_size=1)
        >>> image, label = source.load(0, 32, np.random.default_rng(0))
        >>> image.shape, label
        ((32, 32, 3), 1)
    """

    dataset: ClassificationDataset
    class_weights: np.ndarray | None = None

    def load(self, index: int, size: ImageSize, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Return one augmented image and its class id, which is -1 if it could not be read."""
        pixels, is_readable = self.crop(index, size, rng)
        return pixels, int(self.dataset.labels[index]) if is_readable else -1

    def finish(
        self, stacked: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn stacked images and class ids into `(images, one-hot labels, weights)`.

        An image that could not be read has the weight 0.
        """
        images, labels = stacked
        one_hot = (labels[:, None] == np.arange(len(self.dataset.class_names))).astype("float32")
        if self.class_weights is not None:
            one_hot *= self.class_weights
        # The labels are mixed with their weights, so that each class keeps its own in a mixture.
        images, mixed = self.augmentation.batch((images.astype("float32"), one_hot), rng)
        weights = mixed.sum(axis=1)
        return images, mixed / np.maximum(weights, 1e-12)[:, None], weights
