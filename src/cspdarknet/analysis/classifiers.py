"""Classifiers on frozen vectors: k nearest neighbors, and logistic regression (linear probe)."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.analysis.neighbors import unit_rows

EXTRA = "analysis"
NEIGHBORS = (1, 3, 5, 10, 20)
TEMPERATURE = 0.07  # of the votes exp(cosine / temperature), as in the evaluation of DINO
REGULARIZATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # scikit-learn's C, the strongest first
DEFAULTS = {"knn": 1, "linear": 1e-2}  # where there are too few images to choose
MAX_STEPS = 300
SMALL = 1_000_000  # numbers of the training vectors
FRACTION = 0.2  # of the training images, on which a setting is chosen
LEAST = 4  # images of a class, from which one can be spared

# From training vectors, their labels, settings and vectors to predict: the classes of the latter,
# for each setting.
Classifier = Callable[[np.ndarray, np.ndarray, Sequence[Any], np.ndarray], list[np.ndarray]]


def knn(
    train: np.ndarray, labels: np.ndarray, settings: Sequence[int], vectors: np.ndarray
) -> list[np.ndarray]:
    """Classify vectors by the votes of their nearest neighbors, weighted by their cosines.

    Args:
        train: training vectors `(n, features)`.
        labels: their classes, an integer array `(n,)`.
        settings: numbers of neighbors.
        vectors: the vectors to classify.

    Returns:
        For each setting the classes, an integer array.

    Example:
        >>> train = np.array([[1, 0.0], [0, 1], [0.1, 1]])
        >>> knn(train, np.array([0, 1, 1]), [1, 3], np.array([[1, 0.2]]))
        [array([0]), array([0])]
    """
    unit, classes = unit_rows(train), int(labels.max()) + 1
    found: list[list[np.ndarray]] = [[] for _ in settings]
    rows = max(1, 2**24 // len(train))
    for first in range(0, len(vectors), rows):
        cosines = unit_rows(vectors[first : first + rows]) @ unit.T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : max(settings)]
        nearest = np.take_along_axis(cosines, order, axis=1).astype("float64")
        weights = np.exp((nearest - nearest[:, :1]) / TEMPERATURE)
        for classified, count in zip(found, settings, strict=True):
            votes = np.zeros((len(cosines), classes))
            at = np.arange(len(cosines))[:, None]
            np.add.at(votes, (at, labels[order[:, :count]]), weights[:, :count])
            classified.append(votes.argmax(axis=1))
    return [np.concatenate(classified) for classified in found]


def linear(
    train: np.ndarray, labels: np.ndarray, settings: Sequence[float], vectors: np.ndarray
) -> list[np.ndarray]:
    """Classify vectors by logistic regression on standardized features.

    Args:
        train: training vectors `(n, features)`.
        labels: their classes, an integer array `(n,)` of two classes or more.
        settings: inverse strengths of the L2 regularization, scikit-learn's `C`.
        vectors: the vectors to classify.

    Returns:
        For each setting the classes, an integer array.

    Raises:
        ImportError: if scikit-learn is not installed.

    Example:
        >>> train = np.array([[1, 0.0], [0.9, 0], [0, 1], [0.1, 1]])
        >>> linear(train, np.array([0, 0, 1, 1]), [1.0], np.array([[1, 0.2], [0, 2]]))
        [array([0, 1])]
    """
    models: Any = require("sklearn.linear_model", EXTRA, "A linear probe")
    threads: Any = require("threadpoolctl", EXTRA, "A linear probe")  # scikit-learn needs it
    mean, deviation = train.mean(axis=0, dtype="float64"), train.std(axis=0, dtype="float64")
    deviation = np.where(deviation > 0, deviation, 1)
    train, vectors = ((values - mean) / deviation for values in (train, vectors))
    if len(train) < train.shape[1]:
        # The weights are combinations of the images: in their span, the result is the same.
        _, _, span = np.linalg.svd(train, full_matrices=False)
        train, vectors = train @ span.T, vectors @ span.T
    found = []
    # Threads that wait for each other take ten times as long for small products.
    limit = 1 if train.size < SMALL else None
    # Each starts from the weights of a stronger regularization, which are near.
    model = models.LogisticRegression(max_iter=MAX_STEPS, warm_start=True)
    for setting in settings:
        model.set_params(C=setting)
        with warnings.catch_warnings(), threads.threadpool_limits(limit):
            warnings.simplefilter("ignore")  # more steps would hardly change the accuracy
            model.fit(train, labels)
        found.append(model.predict(vectors))
    return found


METHODS: dict[str, tuple[Classifier, Sequence[Any]]] = {
    "knn": (knn, NEIGHBORS),
    "linear": (linear, REGULARIZATIONS),
}


def fit_and_predict(
    method: str, train: np.ndarray, labels: np.ndarray, vectors: np.ndarray, seed: int
) -> tuple[Any, np.ndarray]:
    """Choose the setting of a method on a part of the training images, and classify vectors.

    Args:
        method: name of one of `METHODS`.
        train: training vectors.
        labels: their classes.
        vectors: the vectors to classify.
        seed: random seed of that part.

    Returns:
        The setting, and the classes by all training images.
    """
    classify, settings = METHODS[method]
    chosen = DEFAULTS[method]
    spared = _spared(labels, seed)
    if spared.any():
        rest, rest_labels = train[~spared], labels[~spared]
        usable = [s for s in settings if method != "knn" or s <= len(rest)]
        predicted = classify(rest, rest_labels, usable, train[spared])
        accuracies = [float((classes == labels[spared]).mean()) for classes in predicted]
        chosen = usable[int(np.argmax(accuracies))]  # the first of equals
    return chosen, classify(train, labels, [chosen], vectors)[0]


def _spared(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return which training images are spared to choose a setting, some of each larger class."""
    rng, spared = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        indices = rng.permutation(np.flatnonzero(labels == label))
        if len(indices) >= LEAST:
            spared[indices[: max(1, round(FRACTION * len(indices)))]] = True
    return spared
