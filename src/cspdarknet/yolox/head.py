"""The head: at each place of each level one box, how sure it is, and of which class."""

import math
from collections.abc import Mapping
from typing import Any

import keras

from cspdarknet.layers import BlockSettings, conv_block, depthwise_conv_block, prediction_conv

# A place holds an object with this probability, says a head that has learnt nothing: training then
# doesn't begin with a flood of false boxes (https://arxiv.org/abs/1708.02002, section 4.1).
PRIOR = 0.01
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
    """Anchor-free head with a branch for classes and a branch for boxes; no level shares weights.

    Args:
        features: feature maps by level, the largest first.
        num_classes: number of classes.
        channels: width of the branches.
        use_depthwise: make the 3x3 blocks depthwise ones.
        name: prefix of the layers' names.
        settings: as in `conv_block`.

    Returns:
        What is predicted at each place, levels one after the other, rows before columns:
        `"boxes"` `(batch, places, 4)`: offset of the center from the place's top-left corner, and
        logarithms of width and height, in strides; `"objectness"` `(batch, places, 1)` and
        `"classes"` `(batch, places, num_classes)`: logits.

    References:
        YOLOX (https://arxiv.org/abs/2107.08430) section 2; `yolox/models/yolo_head.py`.
    """
    block = depthwise_conv_block if use_depthwise else conv_block
    bias = -math.log((1 - PRIOR) / PRIOR)
    found: dict[str, list[Any]] = {output: [] for output in OUTPUTS}
    for level, x in features.items():
        here = f"{name}_{level.lower()}"
        x = conv_block(x, channels, 1, name=f"{here}_stem", settings=settings)
        class_branch = box_branch = x
        for i in (1, 2):
            class_branch = block(
                class_branch, channels, name=f"{here}_class_conv{i}", settings=settings
            )
            box_branch = block(box_branch, channels, name=f"{here}_box_conv{i}", settings=settings)
        for output, branch, filters, start in (
            ("boxes", box_branch, 4, 0.0),
            ("objectness", box_branch, 1, bias),
            ("classes", class_branch, num_classes, bias),
        ):
            maps = prediction_conv(
                branch, filters, bias=start, name=f"{here}_{output}", settings=settings
            )
            found[output].append(_rows(maps, f"{here}_{output}", settings))
    return {
        output: keras.layers.Concatenate(axis=1, dtype=settings.wide_dtype, name=output)(parts)
        for output, parts in found.items()
    }


def _rows(maps: Any, name: str, settings: BlockSettings) -> Any:
    """Turn a map into a list of its places."""
    filters = maps.shape[settings.channel_axis]
    dtype = settings.wide_dtype
    if settings.image_format == "channels_first":
        maps = keras.layers.Permute((2, 3, 1), dtype=dtype, name=f"{name}_last")(maps)
    return keras.layers.Reshape((-1, filters), dtype=dtype, name=f"{name}_rows")(maps)
