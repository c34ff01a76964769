"""Datasets for image classification: images with one class each, or with any number."""

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
    def groups(self) -> np.ndarray:
        """The groups that a split takes the same fraction of, as ids `(images,)`: the classes."""
        return self.labels

    def class_ids(self, index: int) -> list[int]:
        """Return the ids of the classes of an image."""
        return [int(self.labels[index])]

    def classes_of(self, index: int) -> tuple[str, ...]:
        """Return the names of the classes of an image, which may be several or none."""
        return tuple(self.class_names[i] for i in self.class_ids(index))

    @property
    def counts(self) -> np.ndarray:
        """Number of images of each class."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def _annotation_bytes(self, index: int) -> bytes:
        return str(int(self.labels[index])).encode()


@dataclass(frozen=True)
class MultiLabelDataset(ClassificationDataset):
    """Images, each of any number of classes.

    Attributes:
        class_names: names of the classes, in the order of the class ids.
        paths: the image files.
        labels: bool array `(images, classes)`: whether each image is of each class.

    Example:
        >>> paths = (Path("tom.png"), Path("park.png"), Path("sky.png"))
        >>> labels = np.array([[True, False], [True, True], [False, False]])
        >>> pets = MultiLabelDataset(("cat", "dog"), paths, labels)
        >>> pets.counts, pets.classes_of(1), pets.classes_of(2)
        (array([2, 1]), ('cat', 'dog'), ())
    """

    @property
    def groups(self) -> np.ndarray:
        """The rarest class of each image, as ids `(images,)`; images of no class are a group."""
        classes = len(self.class_names)
        order = np.argsort(self.counts, kind="stable")
        rarest = order[self.labels[:, order].argmax(axis=1)]
        return np.where(self.labels.any(axis=1), rarest, classes)

    def class_ids(self, index: int) -> list[int]:
        """Return the ids of the classes of an image."""
        return np.flatnonzero(self.labels[index]).tolist()

    @property
    def counts(self) -> np.ndarray:
        """Number of images of each class."""
        return np.asarray(self.labels.sum(axis=0))

    def _annotation_bytes(self, index: int) -> bytes:
        return np.packbits(self.labels[index]).tobytes()


class ClassificationSplits(DatasetSplits[ClassificationDataset]):
    """The splits of a dataset for image classification; see `DatasetSplits` for its attributes."""
