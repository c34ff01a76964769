"""Conversion of the stem's kernel between its published form and the form of this package.

Published files hold the 3x3 kernel that follows the Focus slices; `cspdarknet.layers.focus_stem`
has one 6x6 kernel with stride 2 that does both. The values are the same.
"""

import numpy as np


def unfold(kernel: np.ndarray) -> np.ndarray:
    """Convert a kernel `(3, 3, 4 * channels, filters)` to `(6, 6, channels, filters)`.

    The slices are ordered top-left, bottom-left, top-right, bottom-right: their number is
    `row + 2 * column` within the 2x2 patch.
    """
    height, width, slices, filters = kernel.shape
    patches = kernel.reshape(height, width, 2, 2, slices // 4, filters)
    ordered = patches.transpose(0, 3, 1, 2, 4, 5)
    return np.ascontiguousarray(ordered.reshape(2 * height, 2 * width, slices // 4, filters))


def fold(kernel: np.ndarray) -> np.ndarray:
    """Convert a kernel `(6, 6, channels, filters)` to `(3, 3, 4 * channels, filters)`."""
    height, width, channels, filters = kernel.shape
    patches = kernel.reshape(height // 2, 2, width // 2, 2, channels, filters)
    ordered = patches.transpose(0, 2, 3, 1, 4, 5)
    return np.ascontiguousarray(ordered.reshape(height // 2, width // 2, 4 * channels, filters))


def folded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that `fold` gives to a kernel of this shape."""
    height, width, channels, filters = shape
    return (height // 2, width // 2, 4 * channels, filters)
