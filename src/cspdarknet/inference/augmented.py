"""Test-time augmentation: an image is predicted together with flipped and shrunk copies of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from cspdarknet._arguments import check_bool, is_number
from cspdarknet.detections import Detections
from cspdarknet.images import ImageError
from cspdarknet.inference.batches import Item
from cspdarknet.inference.tiles import merge_tiles
from cspdarknet.model_info import ModelInfo
from cspdarknet.preprocessing import Preprocessor
from cspdarknet.score_thresholds import per_class
from cspdarknet.tiles import Window
from cspdarknet.yolox.letterbox import PADDING

MIN_SCALE = 0.25


class Copy(NamedTuple):
    """A copy of an image.

    Attributes:
        flip: whether it is flipped left to right.
        flip_vertical: whether it is flipped upside down.
        scale: factor by which a detector sees it shrunk.
    """

    flip: bool = False
    flip_vertical: bool = False
    scale: float = 1.0

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return the copy of an image `(height, width, channels)`.

        It is padded at the right and at the bottom instead of being shrunk: the letterboxing to
        the size that the model takes does the rest, in exported files, too.
        """
        flipped = image[:: -1 if self.flip_vertical else 1, :: -1 if self.flip else 1]
        if self.scale == 1:
            return np.ascontiguousarray(flipped)
        height, width, channels = image.shape
        size = round(height / self.scale), round(width / self.scale), channels
        padded = np.full(size, PADDING, image.dtype)
        padded[:height, :width] = flipped
        return padded

    def restored(self, boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
        """Return boxes in the copy as boxes in the image.

        Args:
            boxes: float array `(n, 4)`: left, top, right, bottom in pixels.
            image_size: height and width of the image.
        """
        height, width = image_size
        restored = boxes.copy()
        if self.flip:
            restored[:, [0, 2]] = width - boxes[:, [2, 0]]
        if self.flip_vertical:
            restored[:, [1, 3]] = height - boxes[:, [3, 1]]
        return restored


@dataclass(frozen=True)
class Augment:
    """Options of test-time augmentation: the copies of an image that a model predicts, too.

    A detector's copies are the image, flipped and shrunk in all combinations. Boxes of one class
    that overlap by an IoU of 0.5 or more in different copies are averaged, weighted by their
    confidences; the confidence is the mean over the copies, 0 where nothing is detected. Objects
    that are too small for the model need `Tiles`, with which this option can be combined. A
    classifier's copies are the flipped images, over which the probabilities are averaged.

    Args:
        flip: whether images are flipped left to right.
        flip_vertical: whether images are flipped upside down, too, for images without an upright
            direction.
        scales: detectors: factors in 0.25..1 by which images are shrunk. The image at its full
            size is always predicted.

    Raises:
        ValueError: if a value is out of range, or there is no copy.

    Example:
        >>> Augment().copies("detection")
        [Copy(flip=True, flip_vertical=False, scale=1.0)]
        >>> len(Augment(scales=(1, 0.8)).copies("detection"))
        3

    References:
        Weighted boxes fusion (https://arxiv.org/abs/1910.13302).
    """

    flip: bool = True
    flip_vertical: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name in ("flip", "flip_vertical"):
            object.__setattr__(self, name, check_bool(name, getattr(self, name)))
        scales = self.scales if isinstance(self.scales, (list, tuple)) else ()
        if not scales or not all(is_number(x) and MIN_SCALE <= x <= 1 for x in scales):
            raise ValueError(
                f"`scales` must be one or more factors in {MIN_SCALE}..1; for small objects, "
                f"`tiles` enlarge images. Received: scales={self.scales!r}"
            )
        object.__setattr__(self, "scales", tuple(dict.fromkeys((1.0, *map(float, scales)))))
        if not self.copies("detection"):
            raise ValueError(
                "`Augment` must have a copy: a flip, or a scale below 1. Received: flip=False, "
                f"scales={self.scales}"
            )

    def copies(self, task: str) -> list[Copy]:
        """Return the copies of an image for a task, without the image itself."""
        flips = [(x, y) for y in (False, self.flip_vertical) for x in (False, self.flip)]
        scales = self.scales if task == "detection" else (1.0,)
        found = dict.fromkeys(Copy(*flip, scale) for scale in scales for flip in flips)
        return [copy for copy in found if copy != Copy()]


def augment_for(info: ModelInfo, augment: Any) -> list[Copy]:
    """Return the copies of each image that a model predicts; none without augmentation.

    Args:
        info: the model's.
        augment: the argument of `Predictor`.

    Raises:
        ValueError: if it is of another type, or does not fit the model.
    """
    if augment is None or augment is False:
        return []
    options = Augment() if augment is True else augment
    if not isinstance(options, Augment):
        raise ValueError(
            "`augment` must be True, False, or Augment, such as Augment(scales=(1, 0.83)). "
            f"Received: augment={augment!r}"
        )
    if info.task == "features" or info.raw_outputs:
        received = "a detector with raw outputs" if info.raw_outputs else "a backbone"
        raise ValueError(
            "`augment` is for classifiers, regressors, and detectors with boxes. Received: "
            f"augment={augment!r}, and {received}: leave it out."
        )
    copies = options.copies(info.task)
    if not copies:
        raise ValueError(
            "`augment` of a classifier or regressor needs a flip. Received: "
            f"augment={augment!r}: the scales are for detectors."
        )
    return copies


def with_copies(item: Item, copies: Sequence[Copy], preprocess: Preprocessor) -> Item:
    """Return a preprocessed image with its augmented copies, preprocessed alike."""
    if item.image is None:
        return item
    prepared = []
    for copy in copies:
        inputs, image = preprocess(copy.of(item.image))
        prepared.append(Item(None, inputs, (image.shape[0], image.shape[1]), None))
    return item._replace(copies=tuple(prepared))


def infer_augmented(
    infer: Callable[[list[Item]], list[Any]],
    batch: list[Item],
    copies: Sequence[Copy],
    info: ModelInfo,
) -> list[Any]:
    """Return the results of a batch of images and of their copies, merged.

    Args:
        infer: returns the results of a batch of items.
        batch: the images, with their copies.
        copies: what the copies are.
        info: the model's.
    """
    results = infer(batch)
    usable = [i for i, item in enumerate(batch) if not isinstance(item.inputs, ImageError)]
    of_copies = [infer([batch[i].copies[n] for i in usable]) for n in range(len(copies))]
    for i, *others in zip(usable, *of_copies, strict=True):
        if info.task in ("classification", "regression"):
            results[i] = np.mean([results[i], *others], axis=0)
        else:
            results[i] = _merged(results[i], list(zip(copies, others, strict=True)), info)
    return results


def _merged(
    detections: Detections, copies: Sequence[tuple[Copy, Detections]], info: ModelInfo
) -> Detections:
    """Return the detections of an image and its copies, one for each object."""
    size = detections.image_size
    restored = [
        replace(found, xyxy=copy.restored(found.xyxy, size), image_size=size)
        for copy, found in copies
    ]
    whole = Window(0, 0, size[1], size[0])
    windows = [whole] * (1 + len(copies))
    xyxy, confidence, class_id = merge_tiles(
        [detections, *restored], windows, size, info.class_agnostic_nms, average=True
    )
    merged = replace(detections, xyxy=xyxy, confidence=confidence, class_id=class_id)
    return merged[_within_limits(merged, info)]


def _within_limits(detections: Detections, info: ModelInfo) -> np.ndarray:
    """Return which detections, in descending order of confidence, the model's options allow."""
    confidence, class_id = detections.confidence, detections.class_id
    keep = np.ones(len(class_id), bool)
    if info.score_threshold is not None:
        limits = per_class(info.score_threshold, int(class_id.max(initial=0)) + 1)
        keep = confidence >= np.array(limits, "float32")[class_id]
    if info.max_detections_per_class is not None:
        for i in np.unique(class_id):
            keep[np.flatnonzero(keep & (class_id == i))[info.max_detections_per_class :]] = False
    if info.max_detections is not None:
        keep[np.flatnonzero(keep)[info.max_detections :]] = False
    return keep
