"""Blocks of one convolution: convolution, batch normalization and activation."""

from typing import Any

import keras

from cspdarknet._depthwise import use_shifted_products
from cspdarknet._initialization import apply_convolution
from cspdarknet.layers.settings import (
    DEFAULT,
    KERAS_NAMES,
    LEAKY_SLOPES,
    BlockSettings,
    float32_or_wider,
)


def joined(name: str | None, suffix: str) -> str | None:
    """Return the name of a part of a block; `None` where the block has no name."""
    return f"{name}_{suffix}" if name else None


def _norm_act(x: Any, conv_name: str | None, name: str | None, settings: BlockSettings) -> Any:
    x = keras.layers.BatchNormalization(
        axis=settings.channel_axis,
        momentum=settings.batch_norm_momentum,
        epsilon=settings.batch_norm_epsilon,
        dtype=settings.dtype,
        name=joined(conv_name, "bn"),
    )(x)
    return activation_layer(name, settings)(x)


def activation_layer(name: str | None, settings: BlockSettings) -> keras.layers.Layer:
    """Return the layer of an activation, which is the last layer of a block."""
    if (slope := LEAKY_SLOPES.get(settings.activation)) is not None:
        return keras.layers.LeakyReLU(negative_slope=slope, dtype=settings.dtype, name=name)
    function = KERAS_NAMES.get(settings.activation, settings.activation)
    return keras.layers.Activation(function, dtype=settings.dtype, name=name)


def _pad(
    x: Any, kernel_size: int, strides: int, name: str | None, settings: BlockSettings
) -> tuple[Any, str]:
    """Pad as PyTorch does where that differs from "same"; return the padding left to Keras."""
    if settings.padding == "same" or strides == 1:
        return x, "same"
    x = keras.layers.ZeroPadding2D(
        (kernel_size - 1) // 2,
        data_format=settings.data_format,
        dtype=settings.dtype,
        name=joined(name, "pad"),
    )(x)
    return x, "valid"


def conv_block(
    x: Any,
    filters: int,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    dilation: int = 1,
    name: str | None = None,
    output_name: str | None = None,
    settings: BlockSettings = DEFAULT,
) -> Any:
    """Convolution without bias, batch normalization and activation.

    Args:
        x: feature map `(batch, height, width, channels)`, or with the channels first.
        filters: number of output channels.
        kernel_size: side of the kernel.
        strides: 1 keeps the size, 2 halves it (rounding up).
        dilation: distance between the pixels that the kernel takes, with strides of 1.
        name: prefix of the layers' names.
        output_name: name of the last layer; `name` by default.
        settings: padding, data format, activation, batch normalization and dtype.

    Returns:
        A Keras tensor of `filters` channels.

    Example:
        >>> x = keras.Input((64, 64, 32))
        >>> conv_block(x, 64, strides=2, name="down").shape
        (None, 32, 32, 64)
    """
    x, padding = _pad(x, kernel_size, strides, name, settings)
    conv = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        data_format=settings.data_format,
        dilation_rate=dilation,
        use_bias=False,
        dtype=settings.dtype,
        name=joined(name, "conv"),
    )
    return _norm_act(apply_convolution(conv, x), name, output_name or name, settings)


def depthwise_conv_block(
    x: Any,
    filters: int,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    dilation: int = 1,
    name: str | None = None,
    settings: BlockSettings = DEFAULT,
) -> Any:
    """Depthwise separable convolution: a depthwise and a pointwise block, each as `conv_block`.

    It replaces `conv_block` in small networks such as YOLOX-nano, with the same arguments.

    Example:
        >>> x = keras.Input((64, 64, 32))
        >>> depthwise_conv_block(x, 64, strides=2).shape
        (None, 32, 32, 64)
    """
    depthwise, pointwise = joined(name, "depthwise"), joined(name, "pointwise")
    x, padding = _pad(x, kernel_size, strides, depthwise, settings)
    conv = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=padding,
        data_format=settings.data_format,
        dilation_rate=dilation,
        use_bias=False,
        dtype=settings.dtype,
        name=joined(depthwise, "conv"),
    )
    x = apply_convolution(use_shifted_products(conv), x, "depthwise_initializer")
    x = _norm_act(x, depthwise, depthwise, settings)
    return conv_block(x, filters, 1, name=pointwise, output_name=name, settings=settings)


def focus_stem(
    x: Any,
    filters: int,
    *,
    name: str | None = None,
    settings: BlockSettings = DEFAULT,
) -> Any:
    """The Focus stem of YOLOv5 and YOLOX: space-to-depth of 2x2 pixels, then a 3x3 `conv_block`.

    Both steps are one linear map, a 6x6 convolution with stride 2 that has the same number of
    weights, so they are built as that one layer: it is faster, and its "same" padding takes odd
    sizes (a missing last row or column counts as zeros). `cspdarknet.checkpoints` rearranges the
    3x3 kernels of published weights into 6x6 ones and back, value by value.

    Args:
        x: images.
        filters: number of output channels.
        name: prefix of the layers' names.
        settings: as in `conv_block`. The padding is 2 pixels on each side under both rules.

    Returns:
        A Keras tensor of half the height and width (rounded up).

    Example:
        >>> focus_stem(keras.Input((65, 64, 3)), 24).shape
        (None, 33, 32, 24)
    """
    channels = x.shape[settings.channel_axis]
    # GlorotUniform of the equivalent 3x3 kernel: its fans are (9 * 4 * channels,
    # 9 * filters), those of the 6x6 kernel (36 * channels, 36 * filters).
    scale = (channels + filters) / (channels + filters / 4)
    conv = keras.layers.Conv2D(
        filters,
        6,
        strides=2,
        padding="same",
        data_format=settings.data_format,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(
            scale=scale, mode="fan_avg", distribution="uniform"
        ),
        dtype=settings.dtype,
        name=joined(name, "conv"),
    )
    return _norm_act(apply_convolution(conv, x), name, name, settings)


def prediction_conv(
    x: Any,
    filters: int,
    *,
    bias: float = 0.0,
    name: str | None = None,
    settings: BlockSettings = DEFAULT,
) -> Any:
    """A 1x1 convolution with bias, which computes a detector's raw outputs.

    Args:
        x: feature map.
        filters: number of output channels.
        bias: initial value of the biases.
        name: name of the layer.
        settings: as in `conv_block`. The layer computes in float32, or float64 if that is the
            dtype.

    Returns:
        A Keras tensor of the same height and width.

    Example:
        >>> prediction_conv(keras.Input((28, 28, 64)), 80, bias=-4.6).shape
        (None, 28, 28, 80)
    """
    layer = keras.layers.Conv2D(
        filters,
        1,
        data_format=settings.data_format,
        bias_initializer=keras.initializers.Constant(bias),
        dtype=float32_or_wider(settings.dtype),
        name=name,
    )
    return apply_convolution(layer, x)
