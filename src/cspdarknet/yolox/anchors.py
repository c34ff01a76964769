"""Places: the cells of the three feature maps, each of which predicts one box.

Levels stand one after the other, the smallest stride first; rows come before columns.
"""

from collections.abc import Sequence
from typing import Any

from keras import ops

# Widths and heights beyond this many strides (e to the 12) are no boxes but overflows to be.
MAX_LOG_SIZE = 12.0


def anchor_grid(height: Any, width: Any, strides: Sequence[int]) -> tuple[Any, Any]:
    """Return the column and row of each place, and its stride.

    Args:
        height: of the image in pixels, a multiple of the largest stride.
        width: likewise.
        strides: pixels for one step of each level.

    Returns:
        Float tensors `(places, 2)`, x before y, and `(places, 1)`.
    """
    grids, sizes = [], []
    for stride in strides:
        rows, columns = height // stride, width // stride
        index = ops.arange(rows * columns)
        grid = ops.stack([index % columns, index // columns], axis=-1)
        grids.append(ops.cast(grid, "float32"))
        sizes.append(ops.full_like(grids[-1][:, :1], stride))
    return ops.concatenate(grids), ops.concatenate(sizes)


def decode_boxes(raw: Any, grid: Any, strides: Any) -> Any:
    """Turn the head's numbers into boxes.

    Args:
        raw: `(batch, places, 4)`, the head's `"boxes"`.
        grid: from `anchor_grid`.
        strides: from `anchor_grid`.

    Returns:
        `(batch, places, 4)`: center x and y, width and height, in pixels of the network's input.
    """
    grid, strides = ops.cast(grid, raw.dtype), ops.cast(strides, raw.dtype)
    centers = (raw[..., :2] + grid) * strides
    sizes = ops.exp(ops.minimum(raw[..., 2:], MAX_LOG_SIZE)) * strides
    return ops.concatenate([centers, sizes], axis=-1)


def encode_boxes(boxes: Any, grid: Any, strides: Any) -> Any:
    """Return the numbers that the head should give for boxes: the inverse of `decode_boxes`."""
    centers = boxes[..., :2] / strides - grid
    sizes = ops.log(ops.maximum(boxes[..., 2:], 0.0) / strides + 1e-8)
    return ops.concatenate([centers, sizes], axis=-1)
