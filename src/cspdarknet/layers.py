"""Building blocks of CSPDarkNet: functions from a Keras tensor to a Keras tensor.

The blocks consist of standard Keras layers only, so that a model built from them can be saved and
loaded without this package. The last layer of a block has the block's name:
`model.get_layer("dark3_csp").output` is the output of the second stage.

References:
    CSPNet (https://arxiv.org/abs/1911.11929) section 3.2; YOLOv4 (https://arxiv.org/abs/2004.10934)
    section 3.4; YOLOX (https://arxiv.org/abs/2107.08430), `yolox/models/network_blocks.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import keras

from cspdarknet._arguments import check_choice, check_fraction, check_positive
from cspdarknet._depthwise import use_shifted_products
from cspdarknet._initialization import apply_convolution
from cspdarknet._kerascv import missing
from cspdarknet.topologies import Bottleneck

__all__ = [
    "ACTIVATIONS",
    "BlockSettings",
    "bottleneck_chain",
    "conv_block",
    "csp_stage",
    "depthwise_conv_block",
    "float32_or_wider",
    "focus_stem",
    "prediction_conv",
    "spp",
    "squeeze_excitation",
]

# KerasCV's module of this name has layers of all kinds. Python asks the import hook about names in
# modules with a path only.
__getattr__, __path__ = partial(missing, __name__), list[str]()

# Names of the activations of blocks.
ACTIVATIONS = ("silu", "relu", "leaky_relu", "leaky_relu_0.01", "relu6", "hard_swish")
# Negative slopes: that of YOLOX and Darknet, and that of timm, PyTorch's default.
LEAKY_SLOPES = {"leaky_relu": 0.1, "leaky_relu_0.01": 0.01}
KERAS_NAMES = {"hard_swish": "hard_silu"}  # names in `keras.activations` that differ


def float32_or_wider(dtype: Any) -> str:
    """Return the dtype of outputs that must not be in half precision, such as boxes and scores.

    It is `"float64"` if the dtype policy computes in float64, and `"float32"` otherwise.
    """
    policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
    return "float64" if policy.compute_dtype == "float64" else "float32"


@dataclass(frozen=True, kw_only=True)
class BlockSettings:
    """Settings shared by all blocks of one network.

    Attributes:
        padding: `"same"` pads as TensorFlow does: a stride-2 convolution of an even size pads only
            at the bottom and right. `"symmetric"` pads as PyTorch does, `(kernel_size - 1) // 2`
            on every side; the official YOLOX weights need it. The two differ at stride 2 on even
            sizes only.
        data_format: `"channels_last"`, `"channels_first"`, or `None` for Keras's global setting.
        activation: name of the activation that follows each batch normalization, one of
            `ACTIVATIONS`.
        batch_norm_epsilon: added to the variances.
        batch_norm_momentum: decay of the moving averages, in Keras's convention: PyTorch's momentum
            is 1 minus this.
        dtype: dtype or dtype policy of every layer, `None` for Keras's global policy.
    """

    padding: str = "same"
    data_format: str | None = None
    activation: str = "silu"
    batch_norm_epsilon: float = 1e-3
    batch_norm_momentum: float = 0.99
    dtype: Any = None

    def __post_init__(self) -> None:
        check_choice("padding", self.padding, ("same", "symmetric"))
        check_choice("data_format", self.data_format, ("channels_last", "channels_first", None))
        check_choice("activation", self.activation, ACTIVATIONS)
        check_fraction("batch_norm_momentum", self.batch_norm_momentum)
        check_positive("batch_norm_epsilon", self.batch_norm_epsilon)

    @property
    def image_format(self) -> str:
        """The data format with Keras's global setting filled in."""
        return self.data_format or keras.config.image_data_format()

    @property
    def channel_axis(self) -> int:
        """The channel axis of a batch of images."""
        return -1 if self.image_format == "channels_last" else 1


DEFAULT = BlockSettings()


def _join(name: str | None, suffix: str) -> str | None:
    return f"{name}_{suffix}" if name else None


def _norm_act(x: Any, conv_name: str | None, name: str | None, settings: BlockSettings) -> Any:
    x = keras.layers.BatchNormalization(
        axis=settings.channel_axis,
        momentum=settings.batch_norm_momentum,
        epsilon=settings.batch_norm_epsilon,
        dtype=settings.dtype,
        name=_join(conv_name, "bn"),
    )(x)
    return _activation(name, settings)(x)


def _activation(name: str | None, settings: BlockSettings) -> keras.layers.Layer:
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
        name=_join(name, "pad"),
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
        name=_join(name, "conv"),
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
    depthwise, pointwise = _join(name, "depthwise"), _join(name, "pointwise")
    x, padding = _pad(x, kernel_size, strides, depthwise, settings)
    conv = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=padding,
        data_format=settings.data_format,
        dilation_rate=dilation,
        use_bias=False,
        dtype=settings.dtype,
        name=_join(depthwise, "conv"),
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
        name=_join(name, "conv"),
    )
    return _norm_act(apply_convolution(conv, x), name, name, settings)


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
    x = conv_block(x, filters // 2, 1, name=_join(name, "conv1"), settings=settings)
    pooled = [x]
    for smaller, size in pairwise(sizes):
        pool = keras.layers.MaxPooling2D(
            size - smaller + 1,
            strides=1,
            padding="same",
            data_format=settings.data_format,
            dtype=settings.dtype,
            name=_join(name, f"maxpool_{size}"),
        )
        pooled.append(pool(pooled[-1]))
    x = keras.layers.Concatenate(
        axis=settings.channel_axis, dtype=settings.dtype, name=_join(name, "concat")
    )(pooled)
    return conv_block(x, filters, 1, name=_join(name, "conv2"), settings=settings)


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
    pool = keras.layers.GlobalAveragePooling2D(keepdims=True, name=_join(name, "pool"), **formats)
    weights = pool(x)
    for suffix, count in (("reduce", filters), ("expand", x.shape[settings.channel_axis])):
        conv = keras.layers.Conv2D(count, 1, name=_join(name, f"{suffix}_conv"), **formats)
        weights = apply_convolution(conv, weights)
        if suffix == "reduce":
            weights = _activation(_join(name, suffix), settings)(weights)
    gate = keras.layers.Activation("sigmoid", dtype=settings.dtype, name=_join(name, "gate"))
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
        prefix, y = _join(name, f"bottleneck{i}"), x
        for number, (size, filters) in enumerate(
            zip(bottleneck.kernel_sizes, (inner, channels), strict=True), start=1
        ):
            block = depthwise_conv_block if use_depthwise and size > 1 else conv_block
            y = block(
                y,
                filters,
                size,
                dilation=dilation if size > 1 else 1,
                name=_join(prefix, f"conv{number}"),
                settings=settings,
            )
            if number == 1 and attention:
                y = squeeze_excitation(
                    y, attention, name=_join(prefix, "attention"), settings=settings
                )
        if residual:
            is_last = output_name is not None and i == depth
            add_name = output_name if is_last else _join(prefix, "add")
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
    main = conv_block(x, hidden, 1, name=_join(name, "conv1"), settings=settings)
    shortcut = conv_block(x, hidden, 1, name=_join(name, "conv2"), settings=settings)
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
        main = conv_block(main, hidden, 1, name=_join(name, "branch"), settings=settings)
    x = keras.layers.Concatenate(
        axis=settings.channel_axis, dtype=settings.dtype, name=_join(name, "concat")
    )([main, shortcut])
    return conv_block(x, filters, 1, name=_join(name, "conv3"), output_name=name, settings=settings)


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
