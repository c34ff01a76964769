"""Repeat-factor sampling: images with rare classes are trained on more often."""

from collections.abc import Sequence

import numpy as np


def repeated_indices(
    labels: Sequence[np.ndarray], threshold: float, seed: int, num_classes: int
) -> np.ndarray:
    """Return the indices of the images of an epoch, of which some are repeated.

    A class that a fraction `f` of the images has gets the factor `max(1, sqrt(threshold / f))`. An
    image is repeated by the largest factor of its classes. The fractional part of a factor is the
    probability of one more repetition, which is drawn once.

    Args:
        labels: the class ids of each image.
        threshold: fraction of the images below which a class is rare, in 0..1.
        seed: random seed of the fractional parts.
        num_classes: number of classes.

    Returns:
        Ascending indices; each image is there at least once.

    Example:
        >>> labels = [np.array([0])] * 15 + [np.array([0, 1])]
        >>> np.bincount(repeated_indices(labels, 0.25, 0, 2))
        array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2])

    References:
        Gupta et al. 2019, "LVIS: A Dataset for Large Vocabulary Instance Segmentation"
        (https://arxiv.org/abs/1908.03195), section 4.
    """
    present = [np.unique(ids) for ids in labels]
    counts = np.bincount(np.concatenate([np.zeros(0, int), *present]), minlength=num_classes)
    fractions = np.maximum(counts, 1) / max(1, len(labels))
    of_classes = np.maximum(1, np.sqrt(threshold / fractions))
    factors = np.array([of_classes[ids].max(initial=1) for ids in present])
    repeats = np.floor(factors + np.random.default_rng(seed).random(len(factors)))
    return np.repeat(np.arange(len(labels)), repeats.astype(int))
