"""The classes that a classifier gives for an image: the most probable ones, or all that it has."""

import numpy as np

from cspdarknet._labels import MULTI, THRESHOLD
from cspdarknet.model_info import ModelInfo


def predicted_classes(
    probabilities: np.ndarray, info: ModelInfo, top: int | None = None, usual: int = 1
) -> np.ndarray:
    """Return the ids of the classes of an image, the most probable one first.

    Args:
        probabilities: float array `(classes,)`, the result of a `Predictor`.
        info: the metadata of the classifier.
        top: number of classes; `None` for all classes of a multi-label classifier that reach their
            score thresholds, which may be none, and for the `usual` number of other classifiers.
        usual: number of classes for an image of one class.

    Returns:
        Integer array of class ids.

    Example:
        >>> info = ModelInfo("classification", labels="multi", score_threshold=(0.5, 0.2, 0.5))
        >>> predicted_classes(np.array([0.4, 0.3, 0.9]), info)
        array([2, 1])
    """
    order = np.argsort(-probabilities, kind="stable")
    if info.labels != MULTI or top is not None:
        return order[: usual if top is None else top]
    limits = np.asarray(
        THRESHOLD if info.score_threshold is None else info.score_threshold, "float32"
    )
    return order[(probabilities >= limits)[order]]
