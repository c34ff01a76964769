"""Formats of bounding boxes, by the names of `keras.utils.bounding_boxes`, in NumPy."""

from typing import Any

import numpy as np

BOX_FORMATS = (
    *("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw"),
    *("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"),
)
RELATIVE = "rel_"  # fractions of width and height


def check_box_format(name: Any) -> str:
    """Accept the name of a bounding box format of Keras, in any case.

    Raises:
        ValueError: if it is another one.
    """
    if not isinstance(name, str) or name.lower() not in BOX_FORMATS:
        raise ValueError(
            f"`bounding_box_format` must be one of {', '.join(map(repr, BOX_FORMATS))}. "
            f"Received: bounding_box_format={name!r}"
        )
    return name.lower()


def from_xyxy(
    xyxy: np.ndarray, bounding_box_format: str, image_size: tuple[int, int]
) -> np.ndarray:
    """Convert boxes of left, top, right and bottom to another format.

    Args:
        xyxy: float array `(n, 4)`, in pixels.
        bounding_box_format: one of `BOX_FORMATS`.
        image_size: height and width of the image.

    Example:
        >>> from_xyxy(np.array([[16.0, 32, 48, 96]]), "rel_center_xywh", (128, 256)).tolist()
        [[0.125, 0.5, 0.125, 0.5]]
    """
    name = check_box_format(bounding_box_format)
    start, end = xyxy[:, :2], xyxy[:, 2:]
    if name.startswith(RELATIVE):
        width_and_height = np.array(image_size[::-1], xyxy.dtype)
        start, end = start / width_and_height, end / width_and_height
    order = name.removeprefix(RELATIVE)
    if order.startswith("center_"):
        pair = ((start + end) / 2, end - start)
    else:
        pair = (start, end if order in ("xyxy", "yxyx") else end - start)
    return np.concatenate([_ordered(values, order) for values in pair], axis=1)


def to_xyxy(boxes: np.ndarray, bounding_box_format: str, image_size: tuple[int, int]) -> np.ndarray:
    """Convert boxes of another format to left, top, right and bottom in pixels.

    Args:
        boxes: float array `(n, 4)`.
        bounding_box_format: one of `BOX_FORMATS`.
        image_size: height and width of the image.

    Example:
        >>> to_xyxy(np.array([[0.125, 0.5, 0.125, 0.5]]), "rel_center_xywh", (128, 256)).tolist()
        [[16.0, 32.0, 48.0, 96.0]]
    """
    name = check_box_format(bounding_box_format)
    order = name.removeprefix(RELATIVE)
    first, second = _ordered(boxes[:, :2], order), _ordered(boxes[:, 2:], order)
    if order.startswith("center_"):
        first = first - second / 2
    corners = np.concatenate(
        [first, second if order in ("xyxy", "yxyx") else first + second], axis=1
    )
    if name.startswith(RELATIVE):
        corners = corners * np.tile(np.array(image_size[::-1], corners.dtype), 2)
    return corners


def _ordered(values: np.ndarray, order: str) -> np.ndarray:
    """Swap columns of x and y where the format has y first."""
    return values[:, ::-1] if order.removeprefix("center_").startswith("yx") else values
