"""Checks of the values of annotation files, which may be of any type, and boxes of shapes."""

import math
import reprlib
from collections.abc import Sequence
from typing import Any

from cspdarknet.data.files import as_name

Box = tuple[float, float, float, float]
# No path is longer.
MAX_LENGTH = 4096


def as_mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a mapping of a JSON file.

    Args:
        value: the value.
        what: what it is, for the error.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a mapping. Received: {type(value).__name__}")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """Return a list of a JSON file; see `as_mapping`."""
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list. Received: {type(value).__name__}")
    return value


def as_text(value: Any, what: str) -> str:
    """Return a name as text that is not empty; see `as_mapping`. It may be a number."""
    text = "" if value is None else as_name(value).strip()
    if not text:
        raise ValueError(f"{what} is missing")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{what} is longer than {MAX_LENGTH:,} characters")
    return text


def as_number(value: Any, what: str) -> float:
    """Return a finite number, which may be given as text; see `as_mapping`.

    Example:
        >>> as_number("12.5", "`x`")
        12.5
    """
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"{what} must be a number. Received: {reprlib.repr(value)}")


def as_numbers(value: Any, what: str) -> list[float]:
    """Return a list of finite numbers; see `as_number`."""
    return [as_number(number, what) for number in as_list(value, what)]


def as_size(width: Any, height: Any) -> tuple[int, int] | None:
    """Return width and height of an image in whole pixels, or `None` where they are not stated."""
    stated = [side for side in (width, height) if side not in (None, "")]
    sides = [int(as_number(side, "the size of the image")) for side in stated]
    return (sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None


def centered_box(x: float, y: float, width: float, height: float) -> Box:
    """Return the box of a center and a size.

    Example:
        >>> centered_box(20, 10, 10, 4)
        (15.0, 8.0, 25.0, 12.0)
    """
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def box_around(xs: Sequence[float], ys: Sequence[float]) -> Box:
    """Return the bounding box of two points or more.

    Raises:
        ValueError: if there are fewer, or not as many x as y coordinates.

    Example:
        >>> box_around([3, 1, 2], [7, 9, 8])
        (1, 7, 3, 9)
    """
    if len(xs) != len(ys) or len(xs) < 2:
        raise ValueError(
            f"a shape must have two points or more. Received: {len(xs)} x and {len(ys)} y "
            "coordinates"
        )
    return min(xs), min(ys), max(xs), max(ys)


def ellipse_box(x: float, y: float, radius_x: float, radius_y: float, radians: float = 0.0) -> Box:
    """Return the bounding box of an ellipse that is rotated about its center."""
    cos, sin = math.cos(radians), math.sin(radians)
    width = 2 * math.hypot(radius_x * cos, radius_y * sin)
    height = 2 * math.hypot(radius_x * sin, radius_y * cos)
    return centered_box(x, y, width, height)


def rotated_box(box: Box, radians: float) -> Box:
    """Return the bounding box of a box that is rotated about its center.

    Example:
        >>> [round(side) for side in rotated_box((10, 20, 50, 40), math.pi / 2)]
        [20, 10, 40, 50]
    """
    left, top, right, bottom = box
    cos, sin = abs(math.cos(radians)), abs(math.sin(radians))
    width, height = right - left, bottom - top
    x, y = (left + right) / 2, (top + bottom) / 2
    return centered_box(x, y, width * cos + height * sin, width * sin + height * cos)
