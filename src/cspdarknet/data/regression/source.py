"""Training batches for image regression."""

from dataclasses import dataclass

import numpy as np

from cspdarknet._image_size import ImageSize
from cspdarknet.data.classification.source import CropSource
from cspdarknet.data.regression.dataset import RegressionDataset


@dataclass(frozen=True)
class RegressionSource(CropSource):
    """Data source of `training_batches` for a regressor; for the attributes see `TrainingSource`.

    MixUp blends the numbers like the pixels.

    Example:
        >>> Image.new("RGB", (80, 60), "navy").save("sea.png")
        >>> dataset = RegressionDataset(("depth",), (Path("sea.png"),), np.array([[4.5]]))
        >>> augmentation = cspdarknet.data.ClassificationAugmentation()
        >>> source = RegressionSource(dataset, augmentation, batch_size=1)
        >>> image, numbers = source.load(0, 32, np.random.default_rng(0))
        >>> image.shape, numbers
        ((32, 32, 3), array([4.5]))
    """

    dataset: RegressionDataset

    def load(
        self, index: int, size: ImageSize, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return one augmented image and its numbers, which are NaN if it could not be read."""
        pixels, is_readable = self.crop(index, size, rng)
        numbers = self.dataset.targets[index]
        return pixels, numbers if is_readable else np.full_like(numbers, np.nan)

    def finish(
        self, stacked: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn stacked images and numbers into `(images, numbers, weights)`.

        An image that could not be read has the weight 0, and none in a mixture.
        """
        images, numbers = stacked
        weights = np.isfinite(numbers).all(axis=1, keepdims=True).astype("float64")
        weighted = np.hstack([np.nan_to_num(numbers) * weights, weights])
        images, mixed = self.augmentation.batch((images.astype("float32"), weighted), rng)
        weights = mixed[:, -1]
        numbers = mixed[:, :-1] / np.maximum(weights, 1e-12)[:, None]
        return images, numbers.astype("float32"), weights.astype("float32")
