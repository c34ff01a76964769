"""The neck of YOLOX: a path aggregation feature pyramid network (PAFPN) with CSP stages.

References:
    PANet (https://arxiv.org/abs/1803.01534) section 3.1; `yolox/models/yolo_pafpn.py`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import keras

from cspdarknet.layers import BlockSettings, conv_block, csp_stage, depthwise_conv_block


def pafpn(
    features: Mapping[str, Any],
    num_outputs: int,
    depth: int,
    *,
    use_depthwise: bool = False,
    name: str = "neck",
    settings: BlockSettings,
) -> list[Any]:
    """Fuse the feature maps of some levels, top-down and then bottom-up.

    Args:
        features: feature maps by the name of their level in the layers' names, such as `"p3"`. They
            halve in size, the largest first.
        num_outputs: number of the levels that the bottom-up path reaches, from the largest feature
            map on. One is the largest alone, after the top-down path.
        depth: number of bottlenecks in each CSP stage.
        use_depthwise: whether the 3x3 blocks are depthwise separable.
        name: prefix of the layers' names.
        settings: as in `conv_block`.

    Returns:
        Keras tensors of the shapes of the first `num_outputs` features.
    """
    stage = partial(
        csp_stage, depth=depth, use_depthwise=use_depthwise, residual=False, settings=settings
    )
    downsample = partial(
        depthwise_conv_block if use_depthwise else conv_block, strides=2, settings=settings
    )

    def channels(level: str) -> int:
        return int(features[level].shape[settings.channel_axis])

    def concat(maps: Sequence[Any], name: str) -> Any:
        return keras.layers.Concatenate(
            axis=settings.channel_axis, dtype=settings.dtype, name=f"{name}_concat"
        )(maps)

    def upsample(x: Any, name: str) -> Any:
        return keras.layers.UpSampling2D(
            2, data_format=settings.data_format, dtype=settings.dtype, name=f"{name}_upsample"
        )(x)

    steps, laterals = list(pairwise(features)), {}
    x = list(features.values())[-1]
    # Top-down, as an FPN.
    for lower, upper in reversed(steps):
        above = f"{name}_{upper}"
        x = conv_block(x, channels(lower), 1, name=f"{above}_lateral", settings=settings)
        laterals[upper] = x
        x = concat([upsample(x, above), features[lower]], f"{name}_{lower}")
        x = stage(x, channels(lower), name=f"{name}_{lower}_csp")
    outputs = [x]
    # Bottom-up: the path aggregation.
    for lower, upper in steps[: num_outputs - 1]:
        below, here = f"{name}_n{lower[1:]}", f"{name}_n{upper[1:]}"
        x = downsample(x, channels(lower), name=f"{below}_down")
        x = stage(concat([x, laterals[upper]], here), channels(upper), name=f"{here}_csp")
        outputs.append(x)
    return outputs
