"""Depthwise convolutions of JAX on a processor, as sums of shifted products.

XLA computes its own by plain loops there; see `docs/performance.md`.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import keras


def use_shifted_products(layer: keras.layers.DepthwiseConv2D) -> keras.layers.DepthwiseConv2D:
    """Let a layer compute shifted products if JAX runs on one processor device.

    The layer stays a plain `DepthwiseConv2D`, as which it is saved.

    Args:
        layer: a layer without depth multiplier, bias and activation.

    Returns:
        The layer.
    """
    if keras.backend.backend() != "jax":
        return layer
    import jax

    by_xla = layer.call
    convolve = _with_gradients(
        partial(_convolve, layer.strides, layer.dilation_rate, layer.padding.upper())
    )

    def call(inputs: Any) -> Any:
        # The loop over the images would gather a batch that several devices share.
        if jax.default_backend() != "cpu" or jax.device_count() > 1:
            return by_xla(inputs)
        x, kernel = map(keras.ops.convert_to_tensor, (inputs, layer.kernel))
        if layer.data_format == "channels_last":
            return convolve(x, kernel)
        return jax.numpy.moveaxis(convolve(jax.numpy.moveaxis(x, 1, 3), kernel), 3, 1)

    layer.call = call
    return layer


def _with_gradients(convolve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the function of a batch, from that of one image.

    Images and gradients pass in loops over the batch: there XLA does not compute again for each of
    the products what is before or behind them, such as an activation.
    """
    import jax

    @jax.custom_vjp
    def batch(x: Any, kernel: Any) -> Any:
        return jax.lax.map(lambda image: convolve(image, kernel), x)

    def forward(x: Any, kernel: Any) -> Any:
        return batch(x, kernel), (x, kernel)

    def backward(saved: Any, gradients: Any) -> Any:
        x, kernel = saved
        of_images, of_kernels = jax.lax.map(
            lambda pair: jax.vjp(convolve, pair[0], kernel)[1](pair[1]),
            (x, gradients),
        )
        return of_images, of_kernels.sum(0)

    batch.defvjp(forward, backward)
    return batch


def _convolve(
    strides: tuple[int, int], dilation: tuple[int, int], padding: str, image: Any, kernel: Any
) -> Any:
    """Return the convolution of one image `(height, width, channels)`."""
    import jax

    *size, channels = image.shape
    windows = [(n - 1) * rate + 1 for n, rate in zip(kernel.shape[:2], dilation, strict=True)]
    pads = jax.lax.padtype_to_pads(size, windows, strides, padding)
    padded = jax.numpy.pad(image, (*pads, (0, 0)))
    # One behind the last row and column that a window begins at.
    ends = [
        (n + sum(pad) - window) // stride * stride + 1
        for n, window, stride, pad in zip(size, windows, strides, pads, strict=True)
    ]
    wide = jax.numpy.promote_types(image.dtype, "float32")  # the sum of halves, as of XLA
    total = jax.numpy.zeros((), wide)
    for i, j in product(*map(range, kernel.shape[:2])):
        row, column = i * dilation[0], j * dilation[1]
        stop = (ends[0] + row, ends[1] + column, channels)
        shifted = jax.lax.slice(padded, (row, column, 0), stop, (*strides, 1))
        total += shifted.astype(wide) * kernel[i, j, :, 0].astype(wide)
    return total.astype(image.dtype)
