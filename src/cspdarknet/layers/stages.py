"""The blocks of stages: bottlenecks, cross stages, attention and spatial pyramid pooling."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras

from cspdarknet._initialization import apply_convolution
from cspdarknet.layers.blocks import (
    activation_layer,
    conv_block,
    depthwise_conv_block,
    joined,
)
from cspdarknet.layers.settings import DEFAULT, BlockSettings
from cspdarknet.topologies import Bottleneck


def spp(
    x: Any,
    filters: int,
    pool_sizes: Sequence[int] = (5, 9, 13),
    *,
    name: str | None = None,
    settings: BlockSettings = DEFAULT,
) -> Any:
    """Spatial pyramid pooling (SPP): concatenated max-pools of several sizes, between 1x1 blocks.

    Each pool is computed from the next smaller one (a 5x5 pool of a 5x5 pool is a 9x9 pool), which
    gives the same maxima with a fraction of the comparisons.

    Args:
        x: feature map.
        filters: number of output channels; the pools work on half of them.
        pool_sizes: odd window sizes in ascending order.
        name: prefix of the layers' names.
        settings: as in `conv_block`.

    Returns:
        A Keras tensor of the same height and width.

    Raises:
        ValueError: if `pool_sizes` are not odd and ascending.

    Example:
        >>> spp(keras.Input((7, 7, 64)), 128).shape
        (None, 7, 7, 128)
    """
    sizes = (1, *pool_sizes)
    if any(size % 2 == 0 for size in sizes) or any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(
            "`pool_sizes` must be odd, greater than 1 and in ascending order. "
            f"Received: pool_sizes={tuple(pool_sizes)}"
        )
    x = conv_block(x, filters // 2, 1, name=joined(name, "conv1"), settings=settings)
    pooled = [x]
    for smaller, size in pairwise(sizes):
        pool = keras.layers.MaxPooling2D(
            size - smaller + 1,
            strides=1,
            padding="same",
            data_format=settings.data_format,
            dtype=settings.dtype,
            name=joined(name, f"maxpool_{size}"),
        )
        pooled.append(pool(pooled[-1]))
    x = keras.layers.Concatenate(
        axis=settings.channel_axis, dtype=settings.dtype, name=joined(name, "concat")
    )(pooled)
    return conv_block(x, filters, 1, name=joined(name, "conv2"), settings=settings)


def squeeze_excitation(
    x: Any, filters: int, *, name: str | None = None, settings: BlockSettings = DEFAULT
) -> Any:
    """Squeeze-and-excitation: weights of the channels, computed from their means over the image.

    Args:
        x: feature map.
        filters: number of channels between its two 1x1 convolutions.
        name: prefix of the layers' names.
        settings: data format, activation between the convolutions, and dtype.

    Returns:
        A Keras tensor of the same shape.

    Example:
        >>> squeeze_excitation(keras.Input((28, 28, 64)), 16).shape
        (None, 28, 28, 64)

    References:
        Squeeze-and-Excitation Networks (https://arxiv.org/abs/1709.01507) section 3; timm,
        `timm/layers/squeeze_excite.py`.
    """
    formats = {"data_format": settings.data_format, "dtype": settings.dtype}
    pool = keras.layers.GlobalAveragePooling2D(keepdims=True, name=joined(name, "pool"), **formats)
    weights = pool(x)
    for suffix, count in (("reduce", filters), ("expand", x.shape[settings.channel_axis])):
        conv = keras.layers.Conv2D(count, 1, name=joined(name, f"{suffix}_conv"), **formats)
        weights = apply_convolution(conv, weights)
        if suffix == "reduce":
            weights = activation_layer(joined(name, suffix), settings)(weights)
    gate = keras.layers.Activation("sigmoid", dtype=settings.dtype, name=joined(name, "gate"))
    return keras.layers.Multiply(dtype=settings.dtype, name=name)([x, gate(weights)])


def bottleneck_chain(
    x: Any,
    depth: int,
    bottleneck: Bottleneck = Bottleneck(),  # noqa: B008  (frozen)
    *,
    use_depthwise: bool = False,
    residual: bool = True,
    dilation: int = 1,
    name: str | None = None,
    output_name: str | None = None,
    settings: BlockSettings = DEFAULT,
) -> Any:
    """Bottlenecks one after another: two blocks each, whose output is added to their input.

    Args:
        x: feature map.
        depth: number of bottlenecks.
        bottleneck: their kernels, inner channels and attention.
        use_depthwise: whether the 3x3 blocks are depthwise separable.
        residual: whether each bottleneck's input is added to its output.
        dilation: that of the 3x3 blocks.
        name: prefix of the layers' names.
        output_name: name of the last layer, with residual connections.
        settings: as in `conv_block`.

    Returns:
        A Keras tensor of the same shape.

    Example:
        >>> bottleneck_chain(keras.Input((28, 28, 64)), depth=2).shape
        (None, 28, 28, 64)
    """
    channels = x.shape[settings.channel_axis]
    inner, attention = bottleneck.inner(channels), bottleneck.attention(channels)
    for i in range(1, depth + 1):
        prefix, y = joined(name, f"bottleneck{i}"), x
        for number, (size, filters) in enumerate(
            zip(bottleneck.kernel_sizes, (inner, channels), strict=True), start=1
        ):
            block = depthwise_conv_block if use_depthwise and size > 1 else conv_block
            y = block(
                y,
                filters,
                size,
                dilation=dilation if size > 1 else 1,
                name=joined(prefix, f"conv{number}"),
                settings=settings,
            )
            if number == 1 and attention:
                y = squeeze_excitation(
                    y, attention, name=joined(prefix, "attention"), settings=settings
                )
        if residual:
            is_last = output_name is not None and i == depth
            add_name = output_name if is_last else joined(prefix, "add")
            y = keras.layers.Add(dtype=settings.dtype, name=add_name)([x, y])
        x = y
    return x


def csp_stage(
    x: Any,
    filters: int,
    depth: int,
    *,
    use_depthwise: bool = False,
    residual: bool = True,
    bottleneck: Bottleneck = Bottleneck(),  # noqa: B008  (frozen)
    branch: int | None = None,
    branch_conv: bool = False,
    dilation: int = 1,
    name: str | None = None,
    settings: BlockSettings = DEFAULT,
) -> Any:
    """Cross stage partial (CSP) stage: `depth` bottlenecks on one half of the channels.

    The other half bypasses the bottlenecks and is concatenated to their output.

    Args:
        x: feature map.
        filters: number of output channels.
        depth: number of bottlenecks (a 1x1 and a 3x3 block each).
        use_depthwise: whether the 3x3 blocks are depthwise separable.
        residual: whether each bottleneck's input is added to its output.
        bottleneck: kernels, inner channels and attention of the bottlenecks.
        branch: number of channels of the bottlenecks, and of the part that bypasses them; `None`
            for half of `filters`.
        branch_conv: whether another 1x1 block follows the bottlenecks.
        dilation: that of the 3x3 blocks.
        name: prefix of the layers' names.
        settings: as in `conv_block`.

    Returns:
        A Keras tensor of the same height and width.

    Example:
        >>> csp_stage(keras.Input((28, 28, 64)), 64, depth=3).shape
        (None, 28, 28, 64)
    """
    hidden = filters // 2 if branch is None else branch
    main = conv_block(x, hidden, 1, name=joined(name, "conv1"), settings=settings)
    shortcut = conv_block(x, hidden, 1, name=joined(name, "conv2"), settings=settings)
    main = bottleneck_chain(
        main,
        depth,
        bottleneck,
        use_depthwise=use_depthwise,
        residual=residual,
        dilation=dilation,
        name=name,
        settings=settings,
    )
    if branch_conv:
        main = conv_block(main, hidden, 1, name=joined(name, "branch"), settings=settings)
    x = keras.layers.Concatenate(
        axis=settings.channel_axis, dtype=settings.dtype, name=joined(name, "concat")
    )([main, shortcut])
    return conv_block(
        x, filters, 1, name=joined(name, "conv3"), output_name=name, settings=settings
    )
