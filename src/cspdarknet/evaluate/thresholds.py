"""Score thresholds of a model, proposed from its predictions in a validation set.

A criterion says which threshold is wanted:

- `"count"`: as many detections as annotated objects, so that precision and recall are equal;
- `"f1"`: the best F1;
- `"recall=0.9"`: the highest threshold with that recall;
- `"precision=0.9"`: the lowest threshold with that precision.

The classes share one threshold, chosen on the boxes of all of them. A class gets one of its own
only where that pays: if it has 10 boxes or more, and in a cross-validation of five folds of images,
its own threshold misses the criterion by at least a tenth less than the common one. A threshold for
few boxes is mostly chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.detections import Detections
from cspdarknet.evaluate.matching import Matches
from cspdarknet.score_thresholds import ScoreThreshold

MIN_BOXES, FOLDS, MIN_GAIN = 10, 5, 0.1
MAX_DECIMALS = 9


@dataclass(frozen=True)
class ClassThreshold:
    """The proposed score threshold of one class, and what it gives on the images.

    Attributes:
        name: name of the class.
        threshold: the score threshold.
        is_own: whether it was chosen for this class alone; else it is the common one.
        detections: number of detections at the threshold.
        true_positives: number of them that are matched with a box.
        boxes: number of ground-truth boxes, without the ignored ones.
    """

    name: str
    threshold: float
    is_own: bool
    detections: int
    true_positives: int
    boxes: int

    @property
    def precision(self) -> float | None:
        """Fraction of the detections that are true positives; `None` without a detection."""
        return self.true_positives / self.detections if self.detections else None

    @property
    def recall(self) -> float | None:
        """Fraction of the boxes that are detected; `None` without a box."""
        return self.true_positives / self.boxes if self.boxes else None


@dataclass(frozen=True)
class ScoredSample:
    """Counted detections, and the boxes to detect.

    Of a multi-label classifier, each image is a detection of each class, and a box of its classes.

    Attributes:
        scores: confidence of each detection, float64.
        is_correct: whether each is a true positive.
        fold: fold of the image of each.
        boxes: number of boxes in the images of each fold, integer array `(FOLDS,)`.
    """

    scores: np.ndarray
    is_correct: np.ndarray
    fold: np.ndarray
    boxes: np.ndarray

    def of(self, fold: int) -> Self:
        """Return the sample of the images of a fold."""
        return self._take(self.fold == fold, np.arange(FOLDS) == fold)

    def without(self, fold: int) -> Self:
        """Return the sample of the other images."""
        return self._take(self.fold != fold, np.arange(FOLDS) != fold)

    def _take(self, rows: np.ndarray, folds: np.ndarray) -> Self:
        arrays = (self.scores[rows], self.is_correct[rows], self.fold[rows])
        return type(self)(*arrays, np.where(folds, self.boxes, 0))

    def at(self, threshold: float) -> tuple[int, int, int]:
        """Return the numbers of detections at a threshold, of true positives, and of boxes."""
        # As NMS compares them.
        kept = self.scores >= np.float32(threshold)
        return int(kept.sum()), int(self.is_correct[kept].sum()), int(self.boxes.sum())


@dataclass(frozen=True)
class Criterion:
    """Which score threshold is wanted.

    Attributes:
        name: `"count"`, `"f1"`, `"recall"` or `"precision"`.
        value: the wished recall or precision; 0 for the others.
    """

    name: str
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the criterion that a text such as `"count"` or `"recall=0.9"` names.

        Raises:
            ValueError: if it names none.

        Example:
            >>> Criterion.parse("recall=0.9")
            Criterion(name='recall', value=0.9)
        """
        name, _, number = str(text).partition("=")
        try:
            value = float(number or 0)
        except ValueError:
            value = -1.0
        if text in ("count", "f1") or (name in ("recall", "precision") and 0 < value <= 1):
            return cls(name, value)
        raise ValueError(
            "A criterion of score thresholds must be count, f1, recall=NUMBER or "
            "precision=NUMBER, with a number above 0 and at most 1, such as recall=0.9. "
            f"Received: {text}"
        )

    def choose(self, sample: ScoredSample) -> float:
        """Return the threshold that meets the criterion best; the highest of equally good ones."""
        if not len(sample.scores) or not sample.boxes.any():
            return 1.0
        order = np.argsort(-sample.scores, kind="stable")
        scores, correct = sample.scores[order], np.cumsum(sample.is_correct[order])
        # Equal scores are kept or dropped together.
        last = np.flatnonzero(np.append(scores[:-1] > scores[1:], True))
        kept, correct, boxes = last + 1, correct[last], int(sample.boxes.sum())
        if self.name == "count":
            best = int(np.abs(kept - boxes).argmin())
        elif self.name == "f1":
            best = int((correct / (kept + boxes)).argmax())
        elif self.name == "recall":
            reached = np.flatnonzero(correct / boxes >= self.value)
            best = int(reached[0] if reached.size else correct.argmax())
        else:
            reached = np.flatnonzero(correct / kept >= self.value)
            best = int(reached[-1] if reached.size else (correct / kept).argmax())
        end = int(last[best])
        return _between(scores[end + 1] if end + 1 < len(scores) else 0.0, scores[end])

    def miss(self, kept: int, correct: int, boxes: int) -> float:
        """Return by how much a number of detections, some of them correct, misses the criterion."""
        if self.name == "count":
            return abs(kept - boxes)
        if self.name == "f1":
            return 1 - 2 * correct / (kept + boxes)
        if self.name == "recall":
            return abs(correct / boxes - self.value)
        return abs(correct / kept - self.value) if kept else 1.0


def propose_thresholds(
    dataset: DetectionDataset,
    detections: Sequence[Detections],
    matches: Sequence[Matches],
    criterion: str = "count",
) -> list[ClassThreshold]:
    """Return the score threshold of each class that meets a criterion best.

    Args:
        dataset: images with their ground-truth boxes.
        detections: the detections in each image, down to very low scores.
        matches: the matches of the detections in each image.
        criterion: `"count"`, `"f1"`, `"recall=NUMBER"` or `"precision=NUMBER"`. Where a wished
            recall or precision is out of reach, the nearest one is taken.

    Returns:
        One `ClassThreshold` for each class; an empty list if no box is detected.

    Raises:
        ValueError: if there is no such criterion.
    """
    samples = _samples(dataset, detections, matches)
    return thresholds_of_samples(samples, dataset.class_names, criterion)


def thresholds_of_samples(
    samples: Sequence[ScoredSample], class_names: Sequence[str], criterion: str
) -> list[ClassThreshold]:
    """Return the score threshold of each class; `propose_thresholds` for samples of the classes."""
    wanted = Criterion.parse(criterion)
    annotated = [sample for sample in samples if sample.boxes.any()]
    if not any(sample.is_correct.any() for sample in annotated):
        return []
    together = _together(annotated)
    common = wanted.choose(together)
    common_of_folds = [wanted.choose(together.without(fold)) for fold in range(FOLDS)]
    proposals = []
    for name, sample in zip(class_names, samples, strict=True):
        is_own = _pays(sample, wanted, common_of_folds)
        threshold = wanted.choose(sample) if is_own else common
        proposals.append(ClassThreshold(name, threshold, is_own, *sample.at(threshold)))
    return proposals


def score_threshold_of(proposals: Sequence[ClassThreshold]) -> ScoreThreshold:
    """Return proposals as a detector takes them: one number if all classes share it."""
    thresholds = tuple(proposal.threshold for proposal in proposals)
    return thresholds if len(set(thresholds)) > 1 else thresholds[0]


def _samples(
    dataset: DetectionDataset, detections: Sequence[Detections], matches: Sequence[Matches]
) -> list[ScoredSample]:
    """Return the detections and boxes of each class."""
    folds = np.arange(len(dataset)) % FOLDS
    counted = [match.is_counted for match in matches]

    def column(arrays: Sequence[np.ndarray]) -> np.ndarray:
        rows = zip(arrays, counted, strict=True)
        return np.concatenate([array[is_counted] for array, is_counted in rows])

    # In float64, like the thresholds.
    scores = column([item.confidence for item in detections]).astype("float64")
    classes = column([item.class_id for item in detections])
    is_correct = column([match.is_true_positive for match in matches])
    fold = np.repeat(folds, [int(is_counted.sum()) for is_counted in counted])
    num_classes = len(dataset.class_names)
    boxes = np.zeros((num_classes, FOLDS), "int64")
    for labels, ignored, i in zip(dataset.labels, dataset.ignored, folds, strict=True):
        np.add.at(boxes, (labels[~ignored], i), 1)
    return [
        ScoredSample(scores[rows], is_correct[rows], fold[rows], boxes[i])
        for i in range(num_classes)
        for rows in [classes == i]
    ]


def _together(samples: Sequence[ScoredSample]) -> ScoredSample:
    return ScoredSample(
        np.concatenate([sample.scores for sample in samples]),
        np.concatenate([sample.is_correct for sample in samples]),
        np.concatenate([sample.fold for sample in samples]),
        np.sum([sample.boxes for sample in samples], axis=0),
    )


def _pays(sample: ScoredSample, wanted: Criterion, common: Sequence[float]) -> bool:
    """Whether a class's own threshold is clearly better than the common one in other folds.

    Args:
        sample: the detections and boxes of the class.
        wanted: the criterion.
        common: the common threshold, chosen without each of the folds.
    """
    if sample.boxes.sum() < MIN_BOXES:
        return False
    misses = np.zeros(2)
    for fold in range(FOLDS):
        tested, own = sample.of(fold), wanted.choose(sample.without(fold))
        if tested.boxes.any():
            misses += [wanted.miss(*tested.at(own)), wanted.miss(*tested.at(common[fold]))]
    return bool(misses[0] < (1 - MIN_GAIN) * misses[1])


def _between(low: float, high: float) -> float:
    """Return the shortest decimal near the middle that is above `low` and at most `high`."""
    for decimals in range(2, MAX_DECIMALS + 1):
        middle = round((low + high) / 2, decimals)
        if low < np.float32(middle) and middle <= high:
            return float(middle)
    return float(high)
