"""The stem's kernel: conversion from and to its published form, and to other channels.

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


def for_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Convert the kernel of a convolution of RGB images to one of images of other channels.

    Of one channel, the kernel is the sum over R, G and B: a gray image gives the outputs of the
    same image in RGB. Otherwise the kernels of R, G and B are repeated in this order, and
    multiplied by 3 / channels: if all channels are alike, the outputs have about the size that the
    following layers expect, and exactly the same ones for 6, 9, ... channels.

    Args:
        kernel: array `(height, width, 3, filters)`.
        channels: the number of channels.

    Example:
        >>> kernel = np.arange(3.0).reshape(1, 1, 3, 1)
        >>> for_channels(kernel, 1).ravel(), for_channels(kernel, 4).ravel()
        (array([3.]), array([0.  , 0.75, 1.5 , 0.  ]))

    References:
        `adapt_input_conv` of timm, `timm/models/_manipulate.py`, which has the same rule.
    """
    if channels == 1:
        return np.asarray(kernel.sum(axis=2, keepdims=True))
    repeated = np.take(kernel, np.arange(channels) % kernel.shape[2], axis=2)
    return np.asarray(repeated * (kernel.shape[2] / channels)).astype(kernel.dtype)


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
