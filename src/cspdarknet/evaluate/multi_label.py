"""Evaluation of multi-label classifiers: average precision, and metrics at score thresholds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from cspdarknet.data.classification.dataset import MultiLabelDataset
from cspdarknet.evaluate.matching import ratio
from cspdarknet.evaluate.thresholds import (
    FOLDS,
    ClassThreshold,
    ScoredSample,
    thresholds_of_samples,
)

SEPARATOR = ";"  # of class names in a table
SMALLEST = 1e-12  # probability in the loss


@dataclass(frozen=True)
class MultiLabelClassMetrics:
    """Metrics of one class, in 0..1; `None` where there is nothing to count.

    Attributes:
        name: name of the class.
        images: number of images of the class.
        threshold: the score threshold of precision, recall and F1.
        ap: average precision.
        precision: fraction of the images predicted to have the class that have it.
        recall: fraction of the images of the class that are predicted to have it.
        f1: harmonic mean of precision and recall.
    """

    name: str
    images: int
    threshold: float
    ap: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class MultiLabelEvaluation:
    """The predictions of a multi-label classifier compared with the labels of a dataset.

    Attributes:
        dataset: the images that could be read, with their labels.
        probabilities: float array `(images, classes)`.
        errors: why the other images could not be read, by path.
        score_thresholds: for each class, the lowest probability at which an image has it.
    """

    dataset: MultiLabelDataset
    probabilities: np.ndarray
    errors: dict[Path, str]
    score_thresholds: tuple[float, ...]

    def at(self, score_thresholds: Sequence[float]) -> Self:
        """Return the same evaluation at other score thresholds, one for each class."""
        return replace(self, score_thresholds=tuple(score_thresholds))

    def calibrated(self) -> Self:
        """Raise an error: a temperature is for the probabilities of a softmax.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "A temperature is for classifiers with one class per image. Received: a multi-label "
            "classifier: choose its score thresholds instead (`--thresholds f1`)."
        )

    def thresholds(self, criterion: str = "f1") -> list[ClassThreshold]:
        """Return the score threshold of each class that meets a criterion best on these images.

        Args:
            criterion: as of `DetectionEvaluation.thresholds`: `"f1"`, `"count"`, `"recall=NUMBER"`
                or `"precision=NUMBER"`. The numbers of boxes and detections are those of images.

        Raises:
            ValueError: if there is no such criterion.
        """
        folds = np.arange(len(self.dataset)) % FOLDS
        samples = [
            ScoredSample(scores, labels, folds, np.bincount(folds[labels], minlength=FOLDS))
            for scores, labels in zip(self.probabilities.T, self.dataset.labels.T, strict=True)
        ]
        return thresholds_of_samples(samples, self.dataset.class_names, criterion)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Whether each image is predicted to have each class, a bool array `(images, classes)`."""
        return self.probabilities >= np.array(self.score_thresholds, "float32")

    @cached_property
    def classes(self) -> list[MultiLabelClassMetrics]:
        """Metrics of each class."""
        labels = self.dataset.labels
        correct = (labels & self.predicted).sum(axis=0).tolist()
        labeled, predicted = (array.sum(axis=0).tolist() for array in (labels, self.predicted))
        return [
            MultiLabelClassMetrics(
                name,
                images=labeled[i],
                threshold=self.score_thresholds[i],
                ap=average_precision(labels[:, i], self.probabilities[:, i]),
                precision=ratio(correct[i], predicted[i]),
                recall=ratio(correct[i], labeled[i]),
                f1=ratio(2 * correct[i], labeled[i] + predicted[i]),
            )
            for i, name in enumerate(self.dataset.class_names)
        ]

    @property
    def map(self) -> float | None:
        """Mean average precision of the classes with images; `None` without any."""
        return _mean([c.ap for c in self.classes])

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the classes that are labeled or predicted."""
        return _mean([c.f1 for c in self.classes])

    @property
    def micro_f1(self) -> float | None:
        """F1 of the labels of all classes together."""
        labels = self.dataset.labels
        correct = int((labels & self.predicted).sum())
        return ratio(2 * correct, int(labels.sum() + self.predicted.sum()))

    @property
    def exact_match(self) -> float:
        """Fraction of the images whose classes are all predicted, and no others."""
        return float((self.predicted == self.dataset.labels).all(axis=1).mean())

    @property
    def loss(self) -> float:
        """Mean binary cross-entropy of the labels of all classes."""
        of_label = np.where(self.dataset.labels, self.probabilities, 1 - self.probabilities)
        return float(-np.log(np.maximum(of_label, SMALLEST)).mean())

    @cached_property
    def mistakes(self) -> list[int]:
        """Indices of the images with wrong or missed classes, the largest errors first."""
        is_wrong = self.predicted != self.dataset.labels
        errors = np.where(is_wrong, np.abs(self.probabilities - self.dataset.labels), 0)
        wrong = np.flatnonzero(is_wrong.any(axis=1))
        order = np.argsort(-errors[wrong].max(axis=1, initial=0), kind="stable")
        return [int(i) for i in wrong[order]]

    def per_image(self) -> list[dict[str, Any]]:
        """Return the prediction for each image, as rows of a table: names of columns and values."""
        labels = self.dataset.labels
        tables = {
            "classes": labels,
            "predicted_classes": self.predicted,
            "missed_classes": labels & ~self.predicted,
            "wrong_classes": self.predicted & ~labels,
        }
        return [
            {
                "file": str(path.absolute()),
                **{name: SEPARATOR.join(self.names(rows[i])) for name, rows in tables.items()},
            }
            for i, path in enumerate(self.dataset.paths)
        ]

    def names(self, is_of_class: np.ndarray) -> list[str]:
        """Return the names of the classes of a bool array `(classes,)`."""
        return [self.dataset.class_names[i] for i in np.flatnonzero(is_of_class)]

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as plain JSON types."""
        return {
            "images": len(self.dataset),
            "unreadable": len(self.errors),
            "mean_average_precision": self.map,
            "micro_f1": self.micro_f1,
            "macro_f1": self.macro_f1,
            "exact_match": self.exact_match,
            "loss": self.loss,
            "classes": [asdict(c) for c in self.classes],
        }


def average_precision(is_positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the average precision of a class, as `sklearn.metrics.average_precision_score`.

    It is the mean of the precisions at each score, weighted by how much the recall grows there.

    Args:
        is_positive: bool array `(images,)`: whether each image is of the class.
        scores: float array `(images,)`; of equal scores, all images or none are counted.

    Returns:
        The average precision; `None` without an image of the class.

    Example:
        >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]))
        0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(is_positive[order])
    if not len(hits) or not hits[-1]:
        return None
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    growth = np.diff(hits[last], prepend=0) / hits[-1]
    return float((growth * hits[last] / (last + 1)).sum())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
