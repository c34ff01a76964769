"""Tell which detections are right: each is paired with at most one true box, and the reverse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.detections import Detections

ENOUGH_OVERLAP = 0.5
NOBODY = -1


def overlaps(boxes: np.ndarray, others: np.ndarray, of_first: bool = False) -> np.ndarray:
    """Return how far boxes cover each other: intersection over union, of each with each.

    Args:
        boxes: array `(n, 4)` of left, top, right and bottom.
        others: array `(m, 4)`.
        of_first: divide by the area of the first box alone.

    Returns:
        Float array `(n, m)` in 0..1.

    Example:
        >>> overlaps(np.array([[0, 0, 10, 10]]), np.array([[5, 0, 15, 10], [20, 20, 30, 30]]))
        array([[0.33333333, 0.        ]])
    """
    a, b = np.asarray(boxes, "float64")[:, None], np.asarray(others, "float64")[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    area_a, area_b = (np.prod(x[..., 2:] - x[..., :2], axis=-1) for x in (a, b))
    total = area_a + 0 * area_b if of_first else area_a + area_b - shared
    return shared / np.maximum(total, 1e-12)


@dataclass(frozen=True, eq=False)
class Matches:
    """Which detection of a photo is which true box.

    Attributes:
        truth: int array `(detections,)`: the place of the true box of the same class that each
            found, -1 if it found none.
        counted: bool array `(detections,)`: false for those that lie on an ignored box of their
            class, and are neither right nor wrong.
    """

    truth: np.ndarray
    counted: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Which detections found a box of their class, as a bool array."""
        return self.truth != NOBODY


def match(boxes: np.ndarray, labels: np.ndarray, ignored: np.ndarray, found: Detections) -> Matches:
    """Pair the detections in a photo with its true boxes of the same class.

    The surest detection chooses first, the box that it covers best, by half at least.

    Args:
        boxes: the true boxes, array `(n, 4)`.
        labels: their classes.
        ignored: those that don't count.
        found: the detections.

    Returns:
        `Matches`.
    """
    same_class = found.classes[:, None] == labels[None]
    fit = np.where(same_class & ~ignored, overlaps(found.boxes, boxes), 0)
    # As in COCO's evaluation: a crowd may hold any number of detections, each inside it.
    inside = np.where(same_class & ignored, overlaps(found.boxes, boxes, of_first=True), 0)
    truth = pair(fit, found.scores)
    counted = (truth != NOBODY) | ~(inside >= ENOUGH_OVERLAP).any(axis=1)
    return Matches(truth, counted)


def pair(fit: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Give each row the free column of the best fit, in descending order of the scores; or -1."""
    fit = fit.copy()
    chosen = np.full(len(fit), NOBODY)
    if fit.shape[1]:
        for row in np.argsort(-scores, kind="stable"):
            column = int(fit[row].argmax())
            if fit[row, column] >= ENOUGH_OVERLAP:
                chosen[row] = column
                fit[:, column] = 0
    return chosen


def best_threshold(
    truth: DetectionDataset, detections: Sequence[Detections], matches: Sequence[Matches]
) -> float | None:
    """Return the score from which on detections should count: that of the best mean F1.

    Args:
        truth: photos with their true boxes.
        detections: of each photo.
        matches: which of them are right.

    Returns:
        A score in 0.01, 0.02 ... 0.99, the middle one of equally good ones; `None` if there is no
        box.
    """
    boxes = truth.counts
    scores = np.concatenate([d.scores[m.counted] for d, m in zip(detections, matches, strict=True)])
    classes = np.concatenate(
        [d.classes[m.counted] for d, m in zip(detections, matches, strict=True)]
    )
    right = np.concatenate([m.right[m.counted] for m in matches])
    thresholds = np.arange(1, 100) / 100
    f1 = [
        2
        * _at_least(scores[(classes == c) & right], thresholds)
        / (boxes[c] + _at_least(scores[classes == c], thresholds))
        for c in np.flatnonzero(boxes)
    ]
    if not f1:
        return None
    mean = np.mean(f1, axis=0)
    best = np.flatnonzero(mean == mean.max())
    return float(thresholds[best[len(best) // 2]])


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Count the scores that reach each threshold."""
    # In float64, so that 0.3 as a threshold and as a score of float32 are told apart in one way.
    return len(scores) - np.searchsorted(np.sort(scores.astype("float64")), thresholds)


def confusion(
    truth: DetectionDataset, detections: Sequence[Detections], matches: Sequence[Matches]
) -> np.ndarray:
    """Count which class is taken for which; what is missed or made up belongs to the background.

    Detections that did not find a box of their class are paired with the boxes of other classes
    that nobody found.

    Returns:
        Int array `(classes + 1, classes + 1)`: true classes in rows, found ones in columns, the
        background last.
    """
    background = len(truth.class_names)
    counts = np.zeros((background + 1, background + 1), "int64")
    for boxes, labels, ignored, found, matched in zip(
        truth.boxes, truth.labels, truth.ignored, detections, matches, strict=True
    ):
        left = np.flatnonzero(matched.counted & ~matched.right)
        missed = np.setdiff1d(np.flatnonzero(~ignored), matched.truth)
        wrong = pair(overlaps(found.boxes[left], boxes[missed]), found.scores[left])
        confused = missed[wrong[wrong != NOBODY]]
        np.add.at(counts, (found.classes[matched.right],) * 2, 1)
        np.add.at(counts, (labels[confused], found.classes[left[wrong != NOBODY]]), 1)
        np.add.at(counts, (background, found.classes[left[wrong == NOBODY]]), 1)
        np.add.at(counts, (labels[np.setdiff1d(missed, confused)], background), 1)
    return counts
