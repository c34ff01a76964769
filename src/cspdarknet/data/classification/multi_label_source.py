"""Training batches of images of any number of classes."""

from dataclasses import dataclass

import numpy as np

from cspdarknet._image_size import ImageSize
from cspdarknet.data.classification.dataset import MultiLabelDataset
from cspdarknet.data.classification.source import CropSource


@dataclass(frozen=True)
class MultiLabelSource(CropSource):
    """Data source of `training_batches` for a multi-label classifier; see `TrainingSource`.

    Example:
        >>> Image.new("RGB", (80, 60), "navy").save("sea.png")
        >>> labels = np.array([[True, False, True]])
        >>> dataset = MultiLabelDataset(("blue", "red", "sea"), (Path("sea.png"),), labels)
        >>> augmentation = cspdarknet.data.ClassificationAugmentation()
        >>> source = MultiLabelSource(dataset, augmentation, batch_size=1)
        >>> image, row = source.load(0, 32, np.random.default_rng(0))
        >>> image.shape, row
        ((32, 32, 3), array([1., 0., 1., 1.], dtype=float32))
    """

    dataset: MultiLabelDataset

    def load(
        self, index: int, size: ImageSize, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return one augmented image, and 0 or 1 for each class and for whether it could be read.

        All of them are 0 if it could not be read.
        """
        pixels, is_readable = self.crop(index, size, rng)
        row = np.append(self.dataset.labels[index], True) & is_readable
        return pixels, row.astype("float32")

    def finish(
        self, stacked: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn stacked images and rows into `(images, labels, weights)`.

        An image that could not be read has the weight 0, and none in a mixture. The labels of a
        mixture are the mean of those of its images.
        """
        images, rows = stacked
        images, mixed = self.augmentation.batch((images.astype("float32"), rows), rng)
        weights = mixed[:, -1]
        return images, mixed[:, :-1] / np.maximum(weights, 1e-12)[:, None], weights
