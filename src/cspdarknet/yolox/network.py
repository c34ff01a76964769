"""The YOLOX network: PAFPN neck and decoupled head on the feature maps of a backbone."""

from collections.abc import Sequence
from typing import Any

from cspdarknet.layers import BlockSettings, conv_block, depthwise_conv_block
from cspdarknet.yolox.head import decoupled_head
from cspdarknet.yolox.levels import NUM_LEVELS, Pyramid
from cspdarknet.yolox.neck import pafpn


def default_neck_depth(backbone: Any) -> int:
    """Return the neck's number of bottlenecks in YOLOX: that of the backbone's last stage."""
    return int(backbone.stackwise_depth[-1])


def default_head_channels(backbone: Any) -> int:
    """Return the head's number of channels in YOLOX: that of the stage of stride 8.

    It is the third last stage, whatever the levels of the detector are.
    """
    return int(backbone.stackwise_channels[-NUM_LEVELS])


def yolox_outputs(
    backbone: Any,
    num_classes: int,
    *,
    neck_depth: int | None = None,
    head_channels: int | None = None,
    levels: Sequence[str] | None = None,
    dtype: Any = None,
) -> dict[str, Any]:
    """Build the neck and the head on a backbone, and return the raw outputs.

    `keras.Model(backbone.input, yolox_outputs(backbone, num_classes))` has the layers of a
    `YOLOXDetector` with these arguments, in the same order.

    Args:
        backbone: a `CSPDarkNetBackbone` with three stages or more. Its padding, data format,
            activation, batch normalization and kind of convolution (depthwise or not) are those of
            neck and head, too.
        num_classes: number of classes.
        neck_depth: number of bottlenecks in each CSP stage of the neck; `None` for
            `default_neck_depth`.
        head_channels: number of channels of the head's branches; `None` for
            `default_head_channels`.
        levels: pyramid levels that the head predicts on; `None` for the deepest three stages.
        dtype: dtype or dtype policy of neck and head; `None` for the backbone's.

    Returns:
        The symbolic outputs of `decoupled_head`: `"boxes"`, `"objectness"` and `"classes"`.

    Example:
        >>> from cspdarknet.models import CSPDarkNetBackbone
        >>> backbone = CSPDarkNetBackbone([16, 32, 64], [1, 1, 1], True, input_shape=(64, 64, 3))
        >>> {name: x.shape for name, x in yolox_outputs(backbone, num_classes=3).items()}
        {'boxes': (None, 336, 4), 'objectness': (None, 336, 1), 'classes': (None, 336, 3)}

    References:
        YOLOX (https://arxiv.org/abs/2107.08430), `yolox/models/yolox.py`.
    """
    settings = BlockSettings(
        padding=backbone.padding,
        data_format=backbone.data_format,
        activation=backbone.activation,
        batch_norm_epsilon=backbone.batch_norm_epsilon,
        batch_norm_momentum=backbone.batch_norm_momentum,
        dtype=backbone.dtype_policy if dtype is None else dtype,
    )
    pyramid = Pyramid.of(levels, len(backbone.architecture.pyramid_channels))
    features = pafpn(
        _neck_inputs(backbone, pyramid, settings),
        len(pyramid.levels),
        default_neck_depth(backbone) if neck_depth is None else neck_depth,
        use_depthwise=backbone.use_depthwise,
        settings=settings,
    )
    return decoupled_head(
        dict(zip(pyramid.levels, features, strict=True)),
        num_classes,
        default_head_channels(backbone) if head_channels is None else head_channels,
        use_depthwise=backbone.use_depthwise,
        settings=settings,
    )


def _neck_inputs(backbone: Any, pyramid: Pyramid, settings: BlockSettings) -> dict[str, Any]:
    """Return the feature maps that the neck fuses, by the names of the levels in its layers."""
    block = depthwise_conv_block if backbone.use_depthwise else conv_block
    stages, maps = backbone.pyramid_outputs, {}
    x = list(stages.values())[-1]
    for level, name in zip(pyramid.fused, pyramid.neck_names, strict=True):
        if level not in stages:  # above the last stage: each one on the level below it
            filters = x.shape[settings.channel_axis]
            x = block(x, filters, strides=2, name=f"neck_{name}_conv", settings=settings)
        maps[name] = stages.get(level, x)
    return maps
