"""Occlusion maps: how much a score falls where a patch covers the image."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

# From images to their scores, in order.
Scores = Callable[[Iterable[np.ndarray]], Iterable[float]]


def occlusion_map(
    image: np.ndarray,
    scores: Scores,
    grid: int,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Cover an image with a patch of its mean color at each position of a grid.

    A patch is two of the `grid + 1` cells of each side high and wide, so that neighboring positions
    overlap by half.

    Args:
        image: array `(height, width, channels)`.
        scores: function from images to their scores; only forward passes.
        grid: number of positions along each side.
        progress: called with 1 after each position.

    Returns:
        A float32 array `(height, width)`: the mean fall of the score over the patches that cover a
        pixel; negative where the score rises.

    References:
        Zeiler and Fergus (https://arxiv.org/abs/1311.2901), section 4.2.

    Example:
        >>> image = np.array([[[0.0], [0.0], [6.0]]])
        >>> occlusion_map(image, lambda images: [x[0, 2, 0] for x in images], grid=2).tolist()
        [[0.0, 2.0, 4.0]]
    """
    height, width = image.shape[:2]
    mean = image.mean(axis=(0, 1))
    color = np.rint(mean).astype(image.dtype) if image.dtype.kind in "iu" else mean
    windows = [(y, x) for y in _windows(height, grid) for x in _windows(width, grid)]

    def covered() -> Iterator[np.ndarray]:
        yield image
        for window in windows:
            copy = image.copy()
            copy[window] = color
            yield copy

    found = iter(scores(covered()))
    whole = next(found)
    total, count = np.zeros((2, height, width))
    for window, score in zip(windows, found, strict=True):
        total[window] += whole - score
        count[window] += 1
        if progress:
            progress(1)
    return (total / count).astype("float32")


def _windows(side: int, grid: int) -> list[slice]:
    """Return the positions of the patch along a side, each of at least one pixel."""
    edges = np.rint(np.linspace(0, side, grid + 2)).astype(int).tolist()
    return [
        slice(min(first, side - 1), max(last, first + 1))
        for first, last in zip(edges, edges[2:], strict=False)
    ]
