"""Matching of detections with ground-truth boxes, each with at most one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.detections import Detections

IOU_THRESHOLD = 0.5
UNMATCHED = -1


def pairwise_iou(boxes: np.ndarray, others: np.ndarray, is_crowd: bool = False) -> np.ndarray:
    """Return the intersection over union (IoU) of each pair of boxes from two arrays.

    Args:
        boxes: array `(n, 4)` of left, top, right and bottom.
        others: array `(m, 4)`.
        is_crowd: whether the others are crowds. The intersection is then divided by the area of
            the first box alone, like in COCO's evaluation.

    Returns:
        Float array `(n, m)` in 0..1.

    Example:
        >>> pairwise_iou(np.array([[0, 0, 10, 10]]), np.array([[5, 0, 15, 10], [20, 20, 30, 30]]))
        array([[0.33333333, 0.        ]])
    """
    a, b = np.asarray(boxes, "float64")[:, None], np.asarray(others, "float64")[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = sides.clip(0).prod(axis=-1)
    area_a, area_b = (np.prod(x[..., 2:] - x[..., :2], axis=-1) for x in (a, b))
    union = area_a + 0 * area_b if is_crowd else area_a + area_b - intersection
    return intersection / np.maximum(union, 1e-12)


@dataclass(frozen=True, eq=False)
class Matches:
    """The matches of the detections in one image with its ground truth.

    Attributes:
        ground_truth: integer array `(detections,)`: index of the ground-truth box of the same class
            that each detection is matched with, -1 for none.
        is_counted: boolean array `(detections,)`: `False` for unmatched detections on an ignored
            box of their class, which are not false positives.
    """

    ground_truth: np.ndarray
    is_counted: np.ndarray

    @property
    def is_true_positive(self) -> np.ndarray:
        """Boolean array `(detections,)`: whether each is matched with a box of its class."""
        return self.ground_truth != UNMATCHED


def match(
    boxes: np.ndarray, labels: np.ndarray, ignored: np.ndarray, detections: Detections
) -> Matches:
    """Match the detections in an image with its ground-truth boxes of the same class.

    In descending order of confidence, each detection is matched with the free box of the highest
    IoU, if it is at least 0.5.

    Args:
        boxes: ground-truth boxes, array `(n, 4)`.
        labels: their classes, integer array `(n,)`.
        ignored: whether each is ignored, boolean array `(n,)`.
        detections: the detections.

    Returns:
        The `Matches`.
    """
    same_class = detections.class_id[:, None] == labels[None]
    iou = np.where(same_class & ~ignored, pairwise_iou(detections.xyxy, boxes), 0)
    # Like in COCO's evaluation: a crowd may hold any number of detections, each inside it.
    inside = np.where(same_class & ignored, pairwise_iou(detections.xyxy, boxes, is_crowd=True), 0)
    ground_truth = greedy_match(iou, detections.confidence)
    is_counted = (ground_truth != UNMATCHED) | ~(inside >= IOU_THRESHOLD).any(axis=1)
    return Matches(ground_truth, is_counted)


def greedy_match(iou: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Match each row with the free column of the highest IoU, in descending order of the scores.

    Args:
        iou: float array `(rows, columns)`.
        scores: float array `(rows,)`.

    Returns:
        Integer array `(rows,)` of columns; -1 for rows without a free column of IoU 0.5 or more.
    """
    iou = iou.copy()
    columns = np.full(len(iou), UNMATCHED)
    if iou.shape[1]:
        for row in np.argsort(-scores, kind="stable"):
            column = int(iou[row].argmax())
            if iou[row, column] >= IOU_THRESHOLD:
                columns[row] = column
                iou[:, column] = 0
    return columns


def best_threshold(
    dataset: DetectionDataset, detections: Sequence[Detections], matches: Sequence[Matches]
) -> float | None:
    """Return the score threshold with the best mean F1 of the classes.

    Args:
        dataset: images with their ground-truth boxes.
        detections: the detections in each image.
        matches: the matches of the detections in each image.

    Returns:
        A score of 0.01, 0.02 ... 0.99, the middle one of equally good ones; `None` if there is no
        box.
    """
    boxes = dataset.counts
    rows = list(zip(detections, matches, strict=True))
    scores = np.concatenate([d.confidence[m.is_counted] for d, m in rows])
    classes = np.concatenate([d.class_id[m.is_counted] for d, m in rows])
    is_correct = np.concatenate([m.is_true_positive[m.is_counted] for m in matches])
    thresholds = np.arange(1, 100) / 100
    f1 = [
        2
        * _count_at_least(scores[(classes == c) & is_correct], thresholds)
        / (boxes[c] + _count_at_least(scores[classes == c], thresholds))
        for c in np.flatnonzero(boxes)
    ]
    if not f1:
        return None
    mean = np.mean(f1, axis=0)
    best = np.flatnonzero(mean == mean.max())
    return float(thresholds[best[len(best) // 2]])


def _count_at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the number of scores that reach each threshold."""
    # Compared in float64, like the detections that `DetectionEvaluation` keeps.
    return len(scores) - np.searchsorted(np.sort(scores.astype("float64")), thresholds)


def confusion(
    dataset: DetectionDataset, detections: Sequence[Detections], matches: Sequence[Matches]
) -> np.ndarray:
    """Return the confusion matrix of detections, with a last class for the background.

    Unmatched detections are matched with the missed boxes of other classes. What is still left
    over is confused with the background: missed boxes, and false positives.

    Args:
        dataset: images with their ground-truth boxes.
        detections: the detections in each image.
        matches: the matches of the detections in each image.

    Returns:
        Integer array `(classes + 1, classes + 1)`: ground truth in rows, detections in columns.
    """
    background = len(dataset.class_names)
    counts = np.zeros((background + 1, background + 1), "int64")
    for boxes, labels, ignored, detected, matched in zip(
        dataset.boxes, dataset.labels, dataset.ignored, detections, matches, strict=True
    ):
        false = np.flatnonzero(matched.is_counted & ~matched.is_true_positive)
        missed = np.setdiff1d(np.flatnonzero(~ignored), matched.ground_truth)
        other = greedy_match(
            pairwise_iou(detected.xyxy[false], boxes[missed]), detected.confidence[false]
        )
        confused = missed[other[other != UNMATCHED]]
        np.add.at(counts, (detected.class_id[matched.is_true_positive],) * 2, 1)
        np.add.at(counts, (labels[confused], detected.class_id[false[other != UNMATCHED]]), 1)
        np.add.at(counts, (background, detected.class_id[false[other == UNMATCHED]]), 1)
        np.add.at(counts, (labels[np.setdiff1d(missed, confused)], background), 1)
    return counts


def ratio(numerator: int, denominator: int) -> float | None:
    """Return a ratio of counts, such as a precision; `None` if there is nothing to count.

    Args:
        numerator: the count of those that are right.
        denominator: the count of all.

    Example:
        >>> ratio(3, 4), ratio(0, 0)
        (0.75, None)
    """
    return numerator / denominator if denominator else None


def nonzero(counts: np.ndarray) -> list[list[int]]:
    """Return the entries of a confusion matrix that are not zero, for a file.

    The whole matrix of thousands of classes would be hundreds of megabytes of zeros.

    Args:
        counts: int array `(classes, classes)`, the ground truth in rows.

    Returns:
        A list of `[ground truth, prediction, count]`, with ids of classes.

    Example:
        >>> nonzero(np.array([[5, 0], [1, 4]]))
        [[0, 0, 5], [1, 0, 1], [1, 1, 4]]
    """
    rows, columns = np.nonzero(counts)
    return np.column_stack([rows, columns, counts[rows, columns]]).tolist()
