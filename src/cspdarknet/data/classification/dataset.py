"""Datasets for image classification: images with one class each."""

from dataclasses import dataclass

import numpy as np

from cspdarknet.data.dataset import DatasetSplits, ImageDataset


@dataclass(frozen=True)
class ClassificationDataset(ImageDataset):
    """Images, each of one class.

    Attributes:
        class_names: names of the classes, in the order of the class ids.
        paths: the image files.
        labels: int32 array `(images,)`, the class id of each image.

    Example:
        >>> paths = (Path("tom.png"), Path("rex.png"), Path("kitty.png"))
        >>> pets = ClassificationDataset(("cat", "dog"), paths, np.array([0, 1, 0], "int32"))
        >>> len(pets), pets.counts, pets.take([1]).paths
        (3, array([2, 1]), (PosixPath('rex.png'),))
    """

    labels: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Number of images of each class."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def _annotation_bytes(self, index: int) -> bytes:
        return str(int(self.labels[index])).encode()


class ClassificationSplits(DatasetSplits[ClassificationDataset]):
    """The splits of a dataset for image classification; see `DatasetSplits` for its attributes."""
