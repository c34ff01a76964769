"""How the variables of a Keras model lie in memory: as PyTorch's kernels read them.

Keras keeps the kernel of a convolution as `(height, width, inputs, outputs)`. PyTorch's kernels
read the outputs first, and would copy each kernel in each step, and its gradient back. Here the
numbers are moved once; shape, values, and everything that Keras does with a variable stay.
"""

from collections.abc import Iterable
from typing import Any

import torch


def arrange_kernel(variable: Any, order: tuple[int, ...]) -> None:
    """Put the axes of a variable into an order in memory, the outermost first."""
    value = variable._value  # `value` is another tensor while Keras works out shapes
    inverse = sorted(range(len(order)), key=order.__getitem__)
    value.data = value.data.permute(order).contiguous().permute(inverse)


def arrange_like(variables: Iterable[Any], others: Iterable[Any]) -> None:
    """Put variables into the order in memory of others with the same shapes."""
    for variable, other in zip(variables, others, strict=True):
        value, reference = variable._value, other._value
        if value.stride() != reference.stride():
            value.data = torch.empty_like(reference.data, dtype=value.dtype).copy_(value.data)
