"""How good a classifier is: predictions for files, and the figures and mistakes in them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.pipeline import evaluation_batches

if TYPE_CHECKING:
    import keras

DEFAULT_SIZE = 224


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of photos.

    Attributes:
        paths: the photos.
        probabilities: float array `(photos, classes)`; NaN where a photo could not be read.
        errors: why, by path.
    """

    paths: tuple[Path, ...]
    probabilities: np.ndarray
    errors: dict[Path, str]

    @property
    def readable(self) -> np.ndarray:
        """Which photos could be read, as a boolean array."""
        return np.isfinite(self.probabilities).all(axis=1)


def classify(
    model: "keras.Model",
    paths: Sequence[str | Path],
    size: int | None = None,
    batch_size: int = 32,
    workers: int = 2,
    advance: Callable[[int], object] = int,
) -> Predictions:
    """Classify photos from files: each is shown by the square in its middle.

    Args:
        model: an `ImageClassifier` (its activation may be softmax or none).
        paths: the files.
        size: side of the square in pixels; `None` takes what the model was trained for.
        batch_size: photos in a batch.
        workers: number of threads that decode.
        advance: called with the number of photos after each batch, for a progress bar.

    Returns:
        `Predictions`, in the order of the paths.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> classify(ImageClassifier(backbone, num_classes=3), ["sea.png"]).probabilities.shape
        (1, 3)
    """
    files = tuple(map(Path, paths))
    size = size or getattr(model, "image_size", None) or DEFAULT_SIZE
    rows: list[np.ndarray] = []
    errors = {}
    for images, failures in evaluation_batches(files, size, batch_size, workers):
        probabilities = _probabilities(model, images, batch_size)
        for i, failure in enumerate(failures):
            if failure is not None:
                probabilities[i] = np.nan
                errors[files[len(rows) + i]] = str(failure)
        rows += list(probabilities)
        advance(len(images))
    classes = model.output_shape[-1]
    return Predictions(files, np.array(rows).reshape(len(files), classes), errors)


def _probabilities(model: "keras.Model", images: np.ndarray, batch_size: int) -> np.ndarray:
    count = len(images)
    if count < batch_size:  # the same shape for every batch: a compiled model is compiled once
        images = np.pad(images, [(0, batch_size - count), (0, 0), (0, 0), (0, 0)])
    if getattr(model.backbone, "data_format", None) == "channels_first":
        images = images.transpose(0, 3, 1, 2)
    outputs = np.array(model.predict_on_batch(images), "float64")[:count]
    if model.activation in (None, "linear"):
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    return outputs


@dataclass(frozen=True)
class ClassMetrics:
    """How well one class is told: shares in 0..1, NaN where there is nothing to count."""

    name: str
    photos: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassificationEvaluation:
    """A classifier's predictions beside the truth.

    Attributes:
        photos: the photos that could be read, with their labels.
        probabilities: float array `(photos, classes)`.
        errors: why photos could not be read, by path.
    """

    photos: ClassificationDataset
    probabilities: np.ndarray
    errors: dict[Path, str]

    @property
    def predicted(self) -> np.ndarray:
        """The likeliest class of each photo."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Share of photos whose likeliest class is the true one."""
        return float((self.predicted == self.photos.labels).mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy (Wilson's)."""
        return wilson_interval(int((self.predicted == self.photos.labels).sum()), len(self.photos))

    def top(self, k: int) -> float:
        """Share of photos whose true class is among the `k` likeliest."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return float((order == self.photos.labels[:, None]).any(axis=1).mean())

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood of the true classes."""
        true = self.probabilities[np.arange(len(self.photos)), self.photos.labels]
        return float(-np.log(np.maximum(true, 1e-12)).mean())

    @property
    def confusion(self) -> np.ndarray:
        """Counts of photos, true classes in rows, predicted ones in columns."""
        classes = len(self.photos.class_names)
        pairs = self.photos.labels * classes + self.predicted
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    @property
    def classes(self) -> list[ClassMetrics]:
        """Figures of each class."""
        counts = self.confusion
        right = np.diag(counts)
        with np.errstate(invalid="ignore"):
            precision, recall = right / counts.sum(axis=0), right / counts.sum(axis=1)
            f1 = 2 * right / (counts.sum(axis=0) + counts.sum(axis=1))
        figures = zip(counts.sum(axis=1), precision, recall, f1, strict=True)
        return [
            ClassMetrics(name, int(n), float(p), float(r), float(f))
            for name, (n, p, r, f) in zip(self.photos.class_names, figures, strict=True)
        ]

    @property
    def mistakes(self) -> list[int]:
        """Places of the wrongly classified photos, the surest mistakes first."""
        wrong = np.flatnonzero(self.predicted != self.photos.labels)
        sureness = self.probabilities[wrong, self.predicted[wrong]]
        return [int(i) for i in wrong[np.argsort(-sureness, kind="stable")]]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        low, high = self.interval
        return {
            "photos": len(self.photos),
            "unreadable": len(self.errors),
            "accuracy": self.accuracy,
            "accuracy_95_percent_interval": [low, high],
            "top_5": self.top(5),
            "loss": self.loss,
            "classes": [
                {name: None if value != value else value for name, value in vars(c).items()}
                for c in self.classes
            ],
            "confusion": self.confusion.tolist(),
        }


def evaluate(
    model: "keras.Model", photos: ClassificationDataset, **kwargs: Any
) -> ClassificationEvaluation:
    """Classify labelled photos; the keyword arguments are those of `classify`.

    Raises:
        ValueError: if none of the photos can be read.
    """
    predictions = classify(model, photos.paths, **kwargs)
    readable = np.flatnonzero(predictions.readable)
    if not len(readable):
        reason = next(iter(predictions.errors.values()), "there are none")
        raise ValueError(f"None of the photos can be read: {reason}")
    return ClassificationEvaluation(
        photos.take(readable), predictions.probabilities[readable], predictions.errors
    )


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's score interval of a share; `z` is 1.96 for 95 %.

    Example:
        >>> low, high = wilson_interval(80, 100)
        >>> round(low, 3), round(high, 3)
        (0.711, 0.867)
    """
    share = successes / trials
    center = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    spread *= z / (1 + z**2 / trials)
    return max(0.0, center - spread), min(1.0, center + spread)
