"""The YOLOX network: PAFPN neck and decoupled head on the feature maps of a backbone."""

from typing import Any

from cspdarknet.layers import BlockSettings
from cspdarknet.yolox.head import decoupled_head
from cspdarknet.yolox.neck import pafpn

# Number of pyramid levels that YOLOX predicts on: the deepest three, of strides 8, 16 and 32.
NUM_LEVELS = 3


def detection_strides(backbone: Any) -> dict[str, int]:
    """Return the pyramid levels that YOLOX predicts on, and the stride in pixels of each.

    Args:
        backbone: a `CSPDarkNetBackbone` with three stages or more.

    Returns:
        A dict from level to stride, the largest feature map first: `{"P3": 8, "P4": 16, "P5": 32}`.
    """
    return dict(list(backbone.feature_strides.items())[-NUM_LEVELS:])


def default_neck_depth(backbone: Any) -> int:
    """Return the neck's number of bottlenecks in YOLOX: that of the backbone's last stage."""
    return int(backbone.stackwise_depth[-1])


def default_head_channels(backbone: Any) -> int:
    """Return the head's number of channels in YOLOX: that of the largest feature map it takes."""
    return int(backbone.stackwise_channels[-NUM_LEVELS])


def yolox_outputs(
    backbone: Any,
    num_classes: int,
    *,
    neck_depth: int | None = None,
    head_channels: int | None = None,
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
    levels = list(detection_strides(backbone))
    features = pafpn(
        [backbone.pyramid_outputs[level] for level in levels],
        default_neck_depth(backbone) if neck_depth is None else neck_depth,
        use_depthwise=backbone.use_depthwise,
        settings=settings,
    )
    return decoupled_head(
        dict(zip(levels, features, strict=True)),
        num_classes,
        default_head_channels(backbone) if head_channels is None else head_channels,
        use_depthwise=backbone.use_depthwise,
        settings=settings,
    )
