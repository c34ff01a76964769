"""Calibration of classifiers: expected calibration error, and the temperature that lowers it.

Temperature scaling divides the logits by one number, fitted on validation images. The logits are
the logarithms of the probabilities, up to a constant that the softmax removes, so that exported
files are calibrated like models. Probabilities of 0 are taken as the smallest float32 above 0.

References:
    Guo et al. 2017, "On Calibration of Modern Neural Networks" (https://arxiv.org/abs/1706.04599);
    Nixon et al. 2019, "Measuring Calibration in Deep Learning" (https://arxiv.org/abs/1904.01685),
    for bins of equal numbers of images.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cspdarknet._arguments import MAX_TEMPERATURE, MIN_TEMPERATURE

BINS = 15
MAX_STEPS, TOLERANCE = 100, 1e-10
SMALLEST = float(np.finfo("float32").tiny)
SUM_TOLERANCE = 0.02  # of probabilities, which are less exact in float16 and int8
CHUNK = 4096  # images at a time, which bounds the memory


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence, the highest probability, is in one interval.

    Attributes:
        images: number of images.
        confidence: their mean confidence; `None` without an image.
        accuracy: fraction of them that is classified correctly; `None` without an image.
    """

    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class CalibrationMetrics:
    """How well the probabilities of a classifier agree with its accuracy.

    Attributes:
        nll: negative log-likelihood: the mean cross-entropy of the labels.
        ece: expected calibration error: mean difference between confidence and accuracy, over 15
            bins of equal width, weighted by their numbers of images.
        adaptive_ece: the same over 15 bins of equal numbers of images.
        bins: the bins of equal width, from confidence 0 to 1.
    """

    nll: float
    ece: float
    adaptive_ece: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Calibration:
    """A temperature fitted on validation images, with the metrics before and after.

    Attributes:
        temperature: number that the logits are divided by, relative to the probabilities that it
            was fitted on; `None` if no temperature from 0.001 to 1000 is best, as where every image
            is classified correctly.
        before: metrics of the probabilities as they are.
        after: metrics of the calibrated probabilities; those before if there is no temperature.
    """

    temperature: float | None
    before: CalibrationMetrics
    after: CalibrationMetrics

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as plain JSON types."""
        return asdict(self)


def calibrate(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit a temperature, and compare the metrics before and after.

    Args:
        probabilities: float array `(images, classes)` of a softmax.
        labels: class id of each image, an integer array `(images,)`.

    Returns:
        A `Calibration`. Its metrics are of the images that the temperature was fitted on.

    Raises:
        ValueError: if the probabilities of an image do not sum to 1.

    Example:
        >>> probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
        >>> result = calibrate(probabilities, np.array([0, 0, 1, 1]))
        >>> round(result.temperature, 3), round(result.before.ece, 3), round(result.after.ece, 3)
        (2.0, 0.15, 0.0)
    """
    temperature = fit_temperature(probabilities, labels)
    before = calibration_metrics(apply_temperature(probabilities, 1.0), labels)
    if temperature is None:
        return Calibration(None, before, before)
    calibrated = apply_temperature(probabilities, temperature)
    return Calibration(temperature, before, calibration_metrics(calibrated, labels))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the temperature with the smallest negative log-likelihood of the labels.

    Newton's method finds the inverse temperature, in which the likelihood is convex.

    Args:
        probabilities: float array `(images, classes)` of a softmax.
        labels: class id of each image, an integer array `(images,)`.

    Returns:
        The temperature; `None` if the best one is not from 0.001 to 1000. If every image is
        classified correctly it would be 0, and infinite if the probabilities are no better than
        chance.

    Raises:
        ValueError: if the probabilities of an image do not sum to 1.
    """
    _check(probabilities, labels)
    logits = _logits(probabilities)
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if _derivatives(logits, labels, low)[0] >= 0 or _derivatives(logits, labels, high)[0] <= 0:
        return None
    inverse = 1.0
    for _ in range(MAX_STEPS):
        slope, curvature = _derivatives(logits, labels, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = slope / curvature if curvature > 0 else math.inf
        following = inverse - step
        if not low < following < high:
            following = math.sqrt(low * high)
        is_done, inverse = abs(following - inverse) <= TOLERANCE * inverse, following
        if is_done:
            break
    return 1 / inverse


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities for logits that are divided by a temperature.

    Args:
        probabilities: float array `(..., classes)` of a softmax.
        temperature: the temperature; more than 1 lowers the confidence.

    Example:
        >>> apply_temperature(np.array([0.9, 0.1]), 2.0).round(2)
        array([0.75, 0.25])
    """
    return _softmax(_logits(probabilities) / temperature)


def calibration_metrics(probabilities: np.ndarray, labels: np.ndarray) -> CalibrationMetrics:
    """Return negative log-likelihood and calibration errors.

    Args:
        probabilities: float array `(images, classes)`.
        labels: class id of each image, an integer array `(images,)`.
    """
    confidence = probabilities.max(axis=1)
    is_correct = probabilities.argmax(axis=1) == labels
    of_label = probabilities[np.arange(len(labels)), labels]
    # The interval of a bin is open on the left, as in Guo et al.
    numbers = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    widths = [np.flatnonzero(numbers == i) for i in range(BINS)]
    masses = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    bins = _bins(confidence, is_correct, widths)
    return CalibrationMetrics(
        nll=float(-np.log(np.maximum(of_label, SMALLEST)).mean()),
        ece=_error(bins),
        adaptive_ece=_error(_bins(confidence, is_correct, masses)),
        bins=bins,
    )


def _bins(
    confidence: np.ndarray, is_correct: np.ndarray, groups: Sequence[np.ndarray]
) -> tuple[ReliabilityBin, ...]:
    return tuple(
        ReliabilityBin(
            len(rows),
            float(confidence[rows].mean()) if len(rows) else None,
            float(is_correct[rows].mean()) if len(rows) else None,
        )
        for rows in groups
    )


def _error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean difference between confidence and accuracy over the images."""
    gaps = (
        abs(b.confidence - b.accuracy) * b.images
        for b in bins
        if b.confidence is not None and b.accuracy is not None
    )
    return sum(gaps) / sum(b.images for b in bins)


def _check(probabilities: np.ndarray, labels: np.ndarray) -> None:
    if probabilities.ndim != 2 or len(probabilities) != len(labels) or not len(labels):
        raise ValueError(
            "`probabilities` must be (images, classes), with a label for each image. Received: "
            f"shapes {probabilities.shape} and {np.shape(labels)}"
        )
    sums, least = probabilities.sum(axis=1), probabilities.min(axis=1)
    fits = (np.abs(sums - 1) <= SUM_TOLERANCE) & (least >= 0)  # NaN compares as False
    if not fits.all():
        first = int(np.argmin(fits))
        raise ValueError(
            "Calibration needs the probabilities of a softmax: numbers of at least 0 with a sum of "
            f"1 for each image. Received: a sum of {sums[first]:g}, and at least {least[first]:g}"
        )


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probabilities, "float64"), SMALLEST))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _derivatives(logits: np.ndarray, labels: np.ndarray, inverse: float) -> tuple[float, float]:
    """Return the first two derivatives of the likelihood by the inverse temperature.

    They are mean and variance of the logits under the probabilities, the former without the logit
    of the label, in the mean over the images.
    """
    slope = curvature = 0.0
    for chunk, of_label in _chunks(logits, labels):
        weights = _softmax(inverse * chunk)
        mean = (weights * chunk).sum(axis=1)
        slope += float((mean - of_label).sum())
        curvature += float((weights * (chunk - mean[:, None]) ** 2).sum())
    return slope / len(logits), curvature / len(logits)


def _chunks(logits: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the logits of some images at a time, and the logits of their labels."""
    for start in range(0, len(logits), CHUNK):
        rows = slice(start, start + CHUNK)
        yield logits[rows], logits[np.arange(len(logits))[rows], labels[rows]]
