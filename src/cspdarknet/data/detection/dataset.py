"""Datasets for object detection: images with boxes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspdarknet.data.dataset import DatasetSplits, ImageDataset
from cspdarknet.tiles import Window


@dataclass(frozen=True)
class DetectionDataset(ImageDataset):
    """Images, each with any number of boxes.

    Attributes:
        class_names: names of the classes, in the order of the class ids.
        paths: the image files. Images without boxes are negative examples.
        boxes: for each image a float32 array `(n, 4)`: left, top, right and bottom, in pixels of
            the image after its EXIF orientation is applied.
        labels: for each image an int32 array `(n,)`, the class id of each box.
        ignored: for each image a bool array `(n,)`: boxes that are not trained on, and that count
            neither for nor against a detector (COCO's crowds, VOC's difficult objects).

    Example:
        >>> boxes = (np.array([[8, 6, 40, 30]], "float32"), np.zeros((0, 4), "float32"))
        >>> labels = (np.array([0], "int32"), np.zeros(0, "int32"))
        >>> ignored = (np.array([False]), np.zeros(0, bool))
        >>> paths = (Path("blood.png"), Path("empty.png"))
        >>> dataset = DetectionDataset(("cell",), paths, boxes, labels, ignored)
        >>> len(dataset), dataset.counts
        (2, array([1]))
    """

    boxes: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    ignored: tuple[np.ndarray, ...]

    @property
    def counts(self) -> np.ndarray:
        """Number of boxes of each class, without the ignored ones."""
        counted = [
            labels[~ignored] for labels, ignored in zip(self.labels, self.ignored, strict=True)
        ]
        labels = np.concatenate(counted) if counted else np.zeros(0, "int32")
        return np.bincount(labels, minlength=len(self.class_names))

    def class_ids(self, index: int) -> list[int]:
        """Return the class id of each box of an image."""
        return self.labels[index].tolist()

    def window(self, index: int) -> Window | None:  # noqa: ARG002  (that of tiles uses it)
        """Return the part of the image file that an entry is; `None` for all of it."""
        return None

    def windows_of(self, path: Path) -> list[Window]:  # noqa: ARG002
        """Return the parts of an image file that have an entry of their own: none."""
        return []

    def _annotation_bytes(self, index: int) -> bytes:
        columns = ((self.boxes, "float32"), (self.labels, "int64"), (self.ignored, "bool"))
        arrays = (np.asarray(column[index], dtype).tobytes() for column, dtype in columns)
        return f"{len(self.boxes[index])}\0".encode() + b"".join(arrays)


class DetectionSplits(DatasetSplits[DetectionDataset]):
    """The splits of a dataset for object detection; see `DatasetSplits` for its attributes."""
