"""Argument checks without Keras: each returns the value as a Python type, or raises an error."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

# Far above any real image or network. A damaged or hostile config could exhaust the memory.
MAX_IMAGE_SIZE = 2**15  # side in pixels
MAX_CHANNELS = 65_536
MAX_DEPTH = 1_000
MAX_CLASSES = 100_000
MIN_CROP = 0.1  # of the side of an image's central square
# Of the temperature of a classifier: far beyond those of real models, and exact in float32.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.001, 1000.0
# Of the targets of a regressor: Keras' `Normalization` takes a smaller standard deviation for 0,
# and float32 holds no squares of larger ones, nor differences far below the mean.
MIN_STD, MAX_STD, MAX_MEAN, MIN_STD_OF_MEAN = 1e-6, 1e18, 1e30, 1e-5
# Of a whole model. YOLOX-X, the largest published one, has 99 million parameters.
MAX_PARAMETERS = 500_000_000
MAX_CONVOLUTIONS = 1_000


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy; booleans are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number of Python or NumPy; booleans are not."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_count(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Accept an integer of Python or NumPy in a range.

    Args:
        name: the argument's name, for the message.
        value: the argument's value.
        least: smallest value allowed.
        most: largest value allowed; `None` for no limit.

    Raises:
        ValueError: if the value is not an integer, or out of range.

    Example:
        >>> check_count("batch_size", np.int64(8))
        8
    """
    if not is_integer(value) or value < least or (most is not None and value > most):
        limit = "" if most is None else f" and at most {most}"
        raise ValueError(
            f"`{name}` must be an integer, at least {least}{limit}. Received: {name}={value!r}"
        )
    return int(value)


def check_positive(name: str, value: Any) -> float:
    """Accept a finite number greater than 0.

    Raises:
        ValueError: if the value is not such a number.
    """
    if not is_number(value) or value <= 0:
        raise ValueError(f"`{name}` must be a number greater than 0. Received: {name}={value!r}")
    return float(value)


def check_crop(value: Any) -> float:
    """Accept the part of an image's shorter side that a classifier sees, more than 0, at most 1.

    Raises:
        ValueError: if it is anything else.
    """
    if not is_number(value) or not MIN_CROP <= value <= 1:
        raise ValueError(
            "`crop` must be the part of the central square's side that the classifier sees, from "
            f"{MIN_CROP} to 1 for all of it. Received: crop={value!r}"
        )
    return float(value)


def check_temperature(value: Any) -> float:
    """Accept the temperature of a classifier, a number from 0.001 to 1000.

    Raises:
        ValueError: if the value is not a number, or out of range.

    Example:
        >>> check_temperature(2)
        2.0
    """
    if not is_number(value) or not MIN_TEMPERATURE <= value <= MAX_TEMPERATURE:
        raise ValueError(
            f"`temperature` must be a number from {MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}. "
            f"Received: temperature={value!r}"
        )
    return float(value)


def check_fraction(name: str, value: Any, *, below_one: bool = False) -> float:
    """Accept a number in [0, 1], or in [0, 1) with `below_one=True`.

    Raises:
        ValueError: if the value is not a number, or out of range.
    """
    if not is_number(value) or not 0 <= value <= 1 or (below_one and value == 1):
        limit = "less than" if below_one else "at most"
        raise ValueError(
            f"`{name}` must be a number, at least 0 and {limit} 1. Received: {name}={value!r}"
        )
    return float(value)


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """Accept one of several values.

    Raises:
        ValueError: if the value is none of them.
    """
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}"
        )
    return value


def check_bool(name: str, value: Any) -> bool:
    """Accept `True` and `False` of Python or NumPy only: a string such as "no" would count as true.

    Raises:
        ValueError: if the value is of another type.
    """
    if type(value).__name__ not in ("bool", "bool_"):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return bool(value)
