"""Intersection over union (IoU) of boxes as Keras tensors, for label assignment, losses and NMS.

`cspdarknet.evaluate.matching` has an IoU of its own: it computes in float64 with COCO's rule for
crowds, and without Keras, so that exported models are evaluated without it.
"""

from typing import Any, NamedTuple

from keras import ops

EPSILON = 1e-16  # keeps 0 / 0 away


class Corners(NamedTuple):
    """Left, top, right, bottom and area of boxes: five tensors of one shape, in pixels."""

    left: Any
    top: Any
    right: Any
    bottom: Any
    area: Any


def from_xyxy(boxes: Any) -> Corners:
    """Convert boxes `(..., 4)` of left, top, right and bottom to `Corners`."""
    left, top, right, bottom = (boxes[..., i] for i in range(4))
    return Corners(left, top, right, bottom, (right - left) * (bottom - top))


def from_center(boxes: Any) -> Corners:
    """Convert boxes `(..., 4)` of center x and y, width and height to `Corners`."""
    x, y, width, height = (boxes[..., i] for i in range(4))
    half_width, half_height = width / 2, height / 2
    return Corners(x - half_width, y - half_height, x + half_width, y + half_height, width * height)


def intersection_and_union(a: Corners, b: Corners) -> tuple[Any, Any]:
    """Return the areas of intersection and union of boxes, whose shapes are broadcast."""
    width = ops.minimum(a.right, b.right) - ops.maximum(a.left, b.left)
    height = ops.minimum(a.bottom, b.bottom) - ops.maximum(a.top, b.top)
    intersection = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
    return intersection, a.area + b.area - intersection


def iou(a: Corners, b: Corners) -> Any:
    """Return the IoU of boxes, whose shapes are broadcast.

    Example:
        >>> a = from_center(keras.ops.convert_to_tensor([[5.0, 5, 10, 10]]))
        >>> b = from_xyxy(keras.ops.convert_to_tensor([[5.0, 0, 15, 10]]))
        >>> round(float(iou(a, b)[0]), 4)
        0.3333
    """
    intersection, union = intersection_and_union(a, b)
    return intersection / (union + EPSILON)
