"""Evaluation of classifiers: accuracy, loss, confusion matrix and metrics per class."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.evaluate.calibration import Calibration, calibrate
from cspdarknet.evaluate.matching import nonzero, ratio

DECIMALS = 6  # of a probability in a table


@dataclass(frozen=True)
class ClassificationClassMetrics:
    """Metrics of one class, in 0..1; `None` where there is nothing to count.

    Attributes:
        name: name of the class.
        images: number of images of the class.
        precision: fraction of the images predicted as this class that are of it.
        recall: fraction of the images of this class that are predicted as it.
        f1: harmonic mean of precision and recall.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class ClassificationEvaluation:
    """The predictions of a classifier compared with the labels of a dataset.

    Attributes:
        dataset: the images that could be read, with their labels.
        probabilities: float array `(images, classes)`.
        errors: why the other images could not be read, by path.
        calibration: the temperature and its metrics, after `calibrated()`; `None` before.
    """

    dataset: ClassificationDataset
    probabilities: np.ndarray
    errors: dict[Path, str]
    calibration: Calibration | None = None

    def calibrated(self) -> Self:
        """Return the same evaluation with a temperature fitted on its images.

        The probabilities stay as they are; report and JSON get the metrics before and after.

        Raises:
            ValueError: if the probabilities are not those of a softmax.
        """
        return replace(self, calibration=calibrate(self.probabilities, self.dataset.labels))

    @cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image, an integer array `(images,)`."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Fraction of the images whose most probable class is their label."""
        return float((self.predicted == self.dataset.labels).mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy (Wilson score interval)."""
        correct = int((self.predicted == self.dataset.labels).sum())
        return wilson_interval(correct, len(self.dataset))

    def top(self, k: int) -> float:
        """Return the top-k accuracy: how often the label is among the `k` most probable classes."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return float((order == self.dataset.labels[:, None]).any(axis=1).mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the labels."""
        rows = np.arange(len(self.dataset))
        of_label = self.probabilities[rows, self.dataset.labels]
        return float(-np.log(np.maximum(of_label, 1e-12)).mean())

    @cached_property
    def confusion(self) -> np.ndarray:
        """Confusion matrix: counts of images, labels in rows, predicted classes in columns."""
        classes = len(self.dataset.class_names)
        pairs = self.dataset.labels * classes + self.predicted
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    @cached_property
    def classes(self) -> list[ClassificationClassMetrics]:
        """Metrics of each class."""
        correct = np.diag(self.confusion).tolist()
        labeled, predicted = (self.confusion.sum(axis=axis).tolist() for axis in (1, 0))
        return [
            ClassificationClassMetrics(
                name,
                images=labeled[i],
                precision=ratio(correct[i], predicted[i]),
                recall=ratio(correct[i], labeled[i]),
                f1=ratio(2 * correct[i], labeled[i] + predicted[i]),
            )
            for i, name in enumerate(self.dataset.class_names)
        ]

    @cached_property
    def mistakes(self) -> list[int]:
        """Indices of the misclassified images, those of the highest confidence first."""
        wrong = np.flatnonzero(self.predicted != self.dataset.labels)
        confidence = self.probabilities[wrong, self.predicted[wrong]]
        return [int(i) for i in wrong[np.argsort(-confidence, kind="stable")]]

    def per_image(self) -> list[dict[str, Any]]:
        """Return the prediction for each image, as rows of a table: names of columns and values."""
        names, rows = self.dataset.class_names, np.arange(len(self.dataset))
        confidence, of_label = (
            self.probabilities[rows, classes] for classes in (self.predicted, self.dataset.labels)
        )
        return [
            {
                "file": str(path.absolute()),
                "class": names[self.dataset.labels[i]],
                "predicted_class": names[self.predicted[i]],
                "confidence": round(float(confidence[i]), DECIMALS),
                "probability_of_class": round(float(of_label[i]), DECIMALS),
            }
            for i, path in enumerate(self.dataset.paths)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as plain JSON types."""
        low, high = self.interval
        return {
            "images": len(self.dataset),
            "unreadable": len(self.errors),
            "accuracy": self.accuracy,
            "accuracy_95_percent_interval": [low, high],
            "top_5": self.top(5),
            "loss": self.loss,
            "classes": [vars(c) for c in self.classes],
            "confusion": nonzero(self.confusion),
            **({} if self.calibration is None else {"calibration": self.calibration.to_json()}),
        }


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a fraction.

    Args:
        successes: number of successes.
        trials: number of trials.
        z: quantile of the standard normal distribution; 1.96 for 95 %.

    References:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Example:
        >>> low, high = wilson_interval(80, 100)
        >>> round(low, 3), round(high, 3)
        (0.711, 0.867)
    """
    fraction = successes / trials
    center = (fraction + z**2 / (2 * trials)) / (1 + z**2 / trials)
    spread = math.sqrt(fraction * (1 - fraction) / trials + z**2 / (4 * trials**2))
    spread *= z / (1 + z**2 / trials)
    return max(0.0, center - spread), min(1.0, center + spread)
