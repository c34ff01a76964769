"""Decimal numbers of coordinates."""

import numpy as np


def decimal(value: np.float32) -> float:
    """Return the shortest decimal number that rounds to a float32.

    Example:
        >>> decimal(np.float32(0.1)), float(np.float32(0.1))
        (0.1, 0.10000000149011612)
    """
    return float(str(np.float32(value)))


def decimal_text(value: np.float32) -> str:
    """Return this number as text, whole numbers without a point: many readers expect these.

    Example:
        >>> decimal_text(np.float32(30)), decimal_text(np.float32(0.1))
        ('30', '0.1')
    """
    return str(np.format_float_positional(np.float32(value), trim="-"))
