"""Gradients of a function of tensors on JAX, PyTorch and TensorFlow."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Function = Callable[..., Any]


def value_and_gradient(function: Function) -> Callable[..., tuple[float, np.ndarray]]:
    """Return the function that computes a scalar and its gradient by the first argument.

    Args:
        function: from a tensor, and any further tensors or lists of them, to a scalar tensor. It
            consists of calls of Keras layers and `keras.ops`. On JAX it is compiled once for each
            shape.

    Returns:
        A function of the same arguments, as arrays, which returns the scalar and the float32
        gradient, an array of the shape of the first argument.

    Raises:
        ValueError: if Keras's backend has no gradients.

    Example:
        >>> square = value_and_gradient(lambda x, factor: keras.ops.sum(factor * x**2))
        >>> value, gradient = square(np.array([1, 2], "float32"), np.array(3, "float32"))
        >>> value, gradient.tolist()
        (15.0, [6.0, 12.0])
    """
    compute = _BACKENDS[check_backend()](function)

    def run(first: Any, *others: Any) -> tuple[float, np.ndarray]:
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, others)
        value, gradient = compute(first, *tensors)
        return float(_numpy(value)), _numpy(gradient)

    return run


def check_backend() -> str:
    """Return the name of Keras's backend.

    Raises:
        ValueError: if it has no gradients.
    """
    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise ValueError(
            "Gradients need JAX, PyTorch or TensorFlow as Keras's backend. Received: "
            f"KERAS_BACKEND={backend}: set it to jax, torch or tensorflow, or use the method "
            "occlusion."
        )
    return backend


def compiled(function: Function) -> Function:
    """Return a function of tensors that is compiled on JAX, and records no gradients on PyTorch."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        jitted: Function = jax.jit(function)
        return jitted
    if backend == "torch":
        import torch

        without_gradients: Function = torch.no_grad()(function)
        return without_gradients
    return function


def _numpy(tensor: Any) -> np.ndarray:
    """Return a tensor of any float dtype as a float32 array."""
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def _jax(function: Function) -> Function:
    import jax

    gradient: Function = jax.jit(jax.value_and_grad(function))
    return gradient


def _torch(function: Function) -> Function:
    import torch

    def compute(first: Any, *others: Any) -> tuple[Any, Any]:
        x = keras.ops.convert_to_tensor(first).detach().clone().requires_grad_()
        with torch.enable_grad():
            value = function(x, *others)
        if not value.requires_grad:  # it does not depend on the argument
            return value, torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(value, x, allow_unused=True, materialize_grads=True)
        return value.detach(), gradient

    return compute


def _tensorflow(function: Function) -> Function:
    import tensorflow as tf

    def compute(first: Any, *others: Any) -> tuple[Any, Any]:
        x = tf.convert_to_tensor(first)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x, *others)
        return value, tape.gradient(value, x, unconnected_gradients="zero")

    return compute


_BACKENDS: dict[str, Callable[[Function], Function]] = {
    "jax": _jax,
    "torch": _torch,
    "tensorflow": _tensorflow,
}
