"""Numbers of images and boxes of each split and class, and the sizes of boxes at the image size."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.data.dataset import ImageDataset
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.regression.dataset import RegressionDataset

# Boxes with a shorter side under these numbers of pixels: the finest stride of a detector, and what
# is hardly visible.
TINY_SIDES = (8, 2)


@dataclass(frozen=True)
class TargetSummary:
    """The range of a number.

    Attributes:
        minimum: the smallest number.
        median: the median.
        maximum: the largest number.
        std: the standard deviation.
    """

    minimum: float
    median: float
    maximum: float
    std: float


@dataclass(frozen=True)
class SplitSummary:
    """Numbers of images and boxes of a split.

    Attributes:
        images: number of images.
        empty_images: number of images without boxes; 0 in a dataset for classification.
        boxes: number of boxes, without the ignored ones; 0 in a dataset for classification.
        class_images: number of images that have each class.
        class_boxes: number of boxes of each class; empty in a dataset for classification.
        tiny_boxes: number of boxes of each class whose shorter side is under 8 and under 2 pixels
            at the image size.
        targets: the range of each number of a dataset for regression.
    """

    images: int
    empty_images: int
    boxes: int
    class_images: tuple[int, ...]
    class_boxes: tuple[int, ...] = ()
    tiny_boxes: dict[int, tuple[int, ...]] | None = None
    targets: dict[str, TargetSummary] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON types."""
        content: dict[str, Any] = {"images": self.images, "class_images": list(self.class_images)}
        if self.targets is not None:
            return {
                "images": self.images,
                "targets": {name: vars(target) for name, target in self.targets.items()},
            }
        if self.tiny_boxes is not None:
            content |= {
                "empty_images": self.empty_images,
                "boxes": self.boxes,
                "class_boxes": list(self.class_boxes),
                "tiny_boxes": {str(side): list(row) for side, row in self.tiny_boxes.items()},
            }
        return content


def summarize(dataset: Any, sizes: np.ndarray, image_size: ImageSize) -> SplitSummary:
    """Return the numbers of images and boxes of a split.

    Args:
        dataset: a `ClassificationDataset`, `DetectionDataset` or `RegressionDataset`.
        sizes: int array `(images, 2)`: width and height of each image.
        image_size: side of the square that images are letterboxed to, or height and width.

    Example:
        >>> from cspdarknet.data import ClassificationDataset
        >>> paths = (Path("tom.png"), Path("rex.png"), Path("kitty.png"))
        >>> pets = ClassificationDataset(("cat", "dog"), paths, np.array([0, 1, 0], "int32"))
        >>> summarize(pets, np.full((3, 2), 64), 224).class_images
        (2, 1)
    """
    if isinstance(dataset, RegressionDataset):
        return SplitSummary(len(dataset), 0, 0, (), targets=_target_summaries(dataset))
    if not isinstance(dataset, DetectionDataset):
        return SplitSummary(len(dataset), 0, 0, _ints(dataset.counts))
    classes = len(dataset.class_names)
    owners, boxes, labels = trained_boxes(dataset)
    present = np.unique(np.column_stack([owners, labels]), axis=0)
    shorter = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    shorter *= letterbox_ratios(sizes, image_size)[owners]
    return SplitSummary(
        len(dataset),
        sum(len(boxes) == 0 for boxes in dataset.boxes),
        len(boxes),
        _ints(np.bincount(present[:, 1], minlength=classes)),
        _ints(np.bincount(labels, minlength=classes)),
        {
            side: _ints(np.bincount(labels[shorter < side], minlength=classes))
            for side in TINY_SIDES
        },
    )


def _target_summaries(dataset: RegressionDataset) -> dict[str, TargetSummary]:
    functions = (np.min, np.median, np.max, np.std)
    return {
        name: TargetSummary(*(float(function(numbers)) for function in functions))
        for name, numbers in zip(dataset.target_names, dataset.targets.T, strict=True)
    }


def trained_boxes(dataset: DetectionDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes of all images that are not ignored.

    Returns:
        Three arrays: the index of the image of each box `(n,)`, the boxes `(n, 4)`, and the class
        ids `(n,)`.
    """
    owners = np.repeat(np.arange(len(dataset)), [len(labels) for labels in dataset.labels])
    boxes, labels, ignored = (
        np.concatenate([np.zeros((0, *shape), dtype), *column])
        for column, shape, dtype in (
            (dataset.boxes, (4,), "float32"),
            (dataset.labels, (), "int32"),
            (dataset.ignored, (), "bool"),
        )
    )
    return owners[~ignored], boxes[~ignored], labels[~ignored]


def letterbox_ratios(sizes: np.ndarray, image_size: ImageSize) -> np.ndarray:
    """Return the factor by which letterboxing resizes each image of a width and height.

    Example:
        >>> letterbox_ratios([(640, 480)], 320), letterbox_ratios([(640, 480)], (120, 320))
        (array([0.5]), array([0.25]))
    """
    height, width = sides(image_size)
    ratios = (width, height) / np.asarray(sizes, "float64").reshape(-1, 2).clip(1, None)
    return np.asarray(ratios.min(axis=1))


def image_sizes(dataset: ImageDataset, size_of: Any) -> np.ndarray:
    """Return width and height of the images of a split, an int array `(images, 2)`."""
    return np.array([size_of(path) for path in dataset.paths], "int64").reshape(-1, 2)


def _ints(values: np.ndarray) -> tuple[int, ...]:
    return tuple(values.tolist())
