"""Datasets for image regression: images with one number or more each."""

from dataclasses import dataclass

import numpy as np

from cspdarknet.data.dataset import DatasetSplits, ImageDataset


@dataclass(frozen=True)
class RegressionDataset(ImageDataset):
    """Images, each with a number for each target.

    Attributes:
        class_names: names of the targets, in the order of the columns of `targets`.
        paths: the image files.
        targets: float64 array `(images, targets)`.

    Example:
        >>> paths = (Path("tom.png"), Path("rex.png"))
        >>> pets = RegressionDataset(("age", "weight"), paths, np.array([[3, 4.5], [7, 30.0]]))
        >>> pets.target_names, pets.mean, pets.std
        (('age', 'weight'), array([ 5.  , 17.25]), array([ 2.  , 12.75]))
    """

    targets: np.ndarray

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.class_names

    @property
    def mean(self) -> np.ndarray:
        """Mean of each target."""
        return np.asarray(self.targets.mean(axis=0))

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of each target."""
        return np.asarray(self.targets.std(axis=0))

    def _annotation_bytes(self, index: int) -> bytes:
        return self.targets[index].astype("<f8").tobytes()


class RegressionSplits(DatasetSplits[RegressionDataset]):
    """The splits of a dataset for image regression; see `DatasetSplits` for its attributes."""
