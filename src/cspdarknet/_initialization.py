"""Initial values of convolution kernels, sampled by NumPy instead of the backend."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np


def apply_convolution(
    layer: keras.layers.Layer, x: Any, initializer_name: str = "kernel_initializer"
) -> Any:
    """Build and call a convolution whose kernel is sampled by NumPy instead of the backend.

    JAX compiles a program for each shape of random numbers, which would take most of the time of
    building a network (size tiny: 12 s instead of 1 s). Distribution and seed are those of the
    layer's initializer, and a seed gives the same kernels on every backend.

    Args:
        layer: the convolution, not built yet.
        x: its input.
        initializer_name: name of the attribute with the kernel's initializer, a uniform `fan_avg`
            one such as GlorotUniform.

    Returns:
        The output of the layer.
    """
    initializer = getattr(layer, initializer_name)
    setattr(layer, initializer_name, partial(_sample, initializer))
    x = layer(x)
    setattr(layer, initializer_name, initializer)
    return x


def _sample(initializer: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    *window, fan_in, fan_out = shape
    fans = np.prod(window) * (fan_in + fan_out)
    limit = np.sqrt(6 * initializer.scale / fans)
    values = np.random.default_rng(initializer.seed).uniform(-limit, limit, size=shape)
    return keras.ops.convert_to_tensor(values.astype("float32"), dtype=dtype)
