"""The decoupled YOLOX head: box, objectness and class predictions at every anchor point.

References:
    YOLOX (https://arxiv.org/abs/2107.08430) section 2.1, "Decoupled head" and "Anchor-free";
    `yolox/models/yolo_head.py`.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras

from cspdarknet.layers import (
    BlockSettings,
    conv_block,
    depthwise_conv_block,
    float32_or_wider,
    prediction_conv,
)

# Objectness and class probability of a new head at every anchor point, so that training does not
# start with a flood of false positives: RetinaNet (https://arxiv.org/abs/1708.02002), section 4.1.
PRIOR_PROBABILITY = 0.01
OUTPUTS = ("boxes", "objectness", "classes")


def decoupled_head(
    features: Mapping[str, Any],
    num_classes: int,
    channels: int,
    *,
    use_depthwise: bool = False,
    name: str = "head",
    settings: BlockSettings,
) -> dict[str, Any]:
    """Predict boxes and classes in two branches; the levels do not share weights.

    Args:
        features: feature maps by level, the largest first.
        num_classes: number of classes.
        channels: number of channels of the branches.
        use_depthwise: whether the 3x3 blocks are depthwise separable.
        name: prefix of the layers' names.
        settings: as in `conv_block`.

    Returns:
        The raw outputs at all anchor points, in the order of `cspdarknet.yolox.anchors`: `"boxes"`
        `(batch, anchors, 4)`: offset of the center from the grid cell's top-left corner, and
        logarithms of width and height, in strides; `"objectness"` `(batch, anchors, 1)` and
        `"classes"` `(batch, anchors, num_classes)`: logits.
    """
    block = depthwise_conv_block if use_depthwise else conv_block
    prior_bias = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
    dtype = float32_or_wider(settings.dtype)
    levels: dict[str, list[Any]] = {output: [] for output in OUTPUTS}
    for level, x in features.items():
        prefix = f"{name}_{level.lower()}"
        x = conv_block(x, channels, 1, name=f"{prefix}_stem", settings=settings)
        class_branch = box_branch = x
        for i in (1, 2):
            class_branch = block(
                class_branch, channels, name=f"{prefix}_class_conv{i}", settings=settings
            )
            box_branch = block(
                box_branch, channels, name=f"{prefix}_box_conv{i}", settings=settings
            )
        for output, branch, filters, bias in (
            ("boxes", box_branch, 4, 0.0),
            ("objectness", box_branch, 1, prior_bias),
            ("classes", class_branch, num_classes, prior_bias),
        ):
            maps = prediction_conv(
                branch, filters, bias=bias, name=f"{prefix}_{output}", settings=settings
            )
            levels[output].append(_flatten(maps, f"{prefix}_{output}", settings))
    return {
        output: keras.layers.Concatenate(axis=1, dtype=dtype, name=output)(rows)
        for output, rows in levels.items()
    }


def _flatten(maps: Any, name: str, settings: BlockSettings) -> Any:
    """Reshape `(batch, height, width, filters)` to `(batch, height * width, filters)`."""
    filters = maps.shape[settings.channel_axis]
    dtype = float32_or_wider(settings.dtype)
    if settings.image_format == "channels_first":
        maps = keras.layers.Permute((2, 3, 1), dtype=dtype, name=f"{name}_last")(maps)
    return keras.layers.Reshape((-1, filters), dtype=dtype, name=f"{name}_rows")(maps)
