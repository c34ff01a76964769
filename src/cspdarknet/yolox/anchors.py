"""Anchor points of YOLOX: one for each grid cell of each level, each of which predicts one box.

All levels are concatenated in one axis, the smallest stride first; inside a level, rows come before
columns, as in `yolox/models/yolo_head.py`.
"""

from collections.abc import Sequence
from typing import Any

from keras import ops

# Widths and heights of more than e^12 strides are cut off: they are not boxes, and would overflow.
MAX_LOG_SIZE = 12.0


def anchor_grid(height: Any, width: Any, strides: Sequence[int]) -> tuple[Any, Any]:
    """Return the grid cell and the stride of each anchor point.

    Args:
        height: height of the image in pixels, a multiple of the largest stride.
        width: width of the image in pixels, likewise.
        strides: stride of each level in pixels.

    Returns:
        Float tensors `(anchors, 2)`, column and row of each grid cell, and `(anchors, 1)`, its
        stride. The center of a cell is `(grid + 0.5) * strides`.

    Example:
        >>> grid, strides = anchor_grid(64, 64, (8, 16, 32))
        >>> tuple(grid.shape), tuple(strides.shape)
        ((84, 2), (84, 1))
    """
    level_grids, level_strides = [], []
    for stride in strides:
        rows, columns = height // stride, width // stride
        index = ops.arange(rows * columns)
        grid = ops.stack([index % columns, index // columns], axis=-1)
        level_grids.append(ops.cast(grid, "float32"))
        level_strides.append(ops.full_like(level_grids[-1][:, :1], stride))
    return ops.concatenate(level_grids), ops.concatenate(level_strides)


def decode_boxes(raw: Any, grid: Any, strides: Any) -> Any:
    """Convert the raw box outputs to boxes, as `decode_outputs` of `yolox/models/yolo_head.py`.

    Args:
        raw: `(batch, anchors, 4)`, the head's `"boxes"`.
        grid: from `anchor_grid`.
        strides: from `anchor_grid`.

    Returns:
        Boxes `(batch, anchors, 4)`: center x and y, width and height, in pixels of the network's
        input.
    """
    grid, strides = ops.cast(grid, raw.dtype), ops.cast(strides, raw.dtype)
    centers = (raw[..., :2] + grid) * strides
    sizes = ops.exp(ops.minimum(raw[..., 2:], MAX_LOG_SIZE)) * strides
    return ops.concatenate([centers, sizes], axis=-1)


def encode_boxes(boxes: Any, grid: Any, strides: Any) -> Any:
    """Return the raw outputs that decode to `boxes`: the inverse of `decode_boxes`.

    They are the targets of the L1 loss (`get_l1_target` of `yolox/models/yolo_head.py`).
    """
    centers = boxes[..., :2] / strides - grid
    sizes = ops.log(ops.maximum(boxes[..., 2:], 0.0) / strides + 1e-8)
    return ops.concatenate([centers, sizes], axis=-1)
