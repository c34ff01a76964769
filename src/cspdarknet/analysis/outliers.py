"""Outliers among images: those whose nearest neighbors are far away."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cspdarknet._arguments import check_count, check_positive
from cspdarknet.analysis.embeddings import Embeddings, check_not_empty
from cspdarknet.analysis.similar import cosine_rows, described_images
from cspdarknet.data.doctor.duplicates import DatasetImage

NEIGHBORS = 5
SPREAD = 3.0  # interquartile ranges: "far out" in Tukey's box plots


class Outlier(NamedTuple):
    """An image that is unlike all others.

    Attributes:
        image: the image.
        distance: mean of 1 - cosine to its nearest neighbors.
    """

    image: DatasetImage
    distance: float


def neighbor_distances(
    embeddings: Embeddings,
    neighbors: int = NEIGHBORS,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Return the mean of 1 - cosine of each image to its nearest others.

    Args:
        embeddings: the vectors.
        neighbors: number of neighbors; all others, if there are fewer.
        progress: called with a number of images that have been compared.

    Returns:
        Float array `(images,)`; zeros for a single image.
    """
    count = min(check_count("neighbors", neighbors), len(embeddings) - 1)
    distances = np.zeros(len(embeddings))
    for first, cosines in cosine_rows(embeddings.vectors) if count else ():
        rows = np.arange(len(cosines))
        cosines[rows, first + rows] = -np.inf  # an image is not its own neighbor
        nearest = np.partition(cosines, cosines.shape[1] - count, axis=1)[:, -count:]
        distances[first : first + len(cosines)] = 1 - nearest.mean(axis=1, dtype="float64")
        if progress:
            progress(len(cosines))
    return np.maximum(distances, 0)


def find_outliers(
    embeddings: Embeddings,
    images: Sequence[DatasetImage] | None = None,
    neighbors: int = NEIGHBORS,
    spread: float = SPREAD,
    progress: Callable[[int], object] | None = None,
) -> list[Outlier]:
    """Find the images that are unlike all others: their distance to their neighbors is far out.

    Args:
        embeddings: the vectors.
        images: path, split and class of each of them; `None` for images of one split.
        neighbors: number of neighbors, whose mean distance counts.
        spread: number of interquartile ranges by which a distance exceeds the third quartile.
        progress: called with a number of images that have been compared.

    Returns:
        The outliers, the most distant one first.

    Raises:
        ValueError: if an argument is out of range, or `images` are more or fewer.

    Example:
        >>> vectors = np.random.default_rng(0).normal(1, 0.1, (50, 8))
        >>> vectors[7] = -1
        >>> keys = [f"{i}.jpg" for i in range(50)]
        >>> find_outliers(Embeddings(vectors, keys))[0].image.path.name
        '7.jpg'
    """
    check_positive("spread", spread)
    check_not_empty(embeddings)
    described = described_images(embeddings, images)
    distances = neighbor_distances(embeddings, neighbors, progress)
    low, high = np.quantile(distances, [0.25, 0.75])
    far = np.flatnonzero(distances > high + spread * (high - low) + 1e-6)
    order = far[np.argsort(-distances[far], kind="stable")]
    return [Outlier(described[i], float(distances[i])) for i in order]
