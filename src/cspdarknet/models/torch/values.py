"""The tensors of Keras variables."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import torch


def reader(variable: Any | None) -> Callable[[Any], torch.Tensor]:
    """Return the function that returns the tensors of variables such as this one.

    Keras' own property asks for each of them whether its tensor is replaced or cast, as in a
    `keras.StatelessScope`.
    """
    is_own = variable is not None and variable.value is variable._value
    return attrgetter("_value") if is_own else attrgetter("value")


def values(variables: Iterable[Any]) -> list[torch.Tensor]:
    """Return the tensors of variables of the same kind: all weights, or all slots."""
    listed = list(variables)
    return list(map(reader(listed[0] if listed else None), listed))
