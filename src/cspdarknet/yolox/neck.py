"""The neck of YOLOX: a path aggregation feature pyramid network (PAFPN) with CSP stages.

References:
    PANet (https://arxiv.org/abs/1803.01534) section 3.1; `yolox/models/yolo_pafpn.py`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras

from cspdarknet.layers import BlockSettings, conv_block, csp_stage, depthwise_conv_block


def pafpn(
    features: Sequence[Any],
    depth: int,
    *,
    use_depthwise: bool = False,
    name: str = "neck",
    settings: BlockSettings,
) -> list[Any]:
    """Fuse the feature maps of three levels, top-down and then bottom-up.

    Args:
        features: feature maps of three levels that halve in size, the largest first.
        depth: number of bottlenecks in each of its four CSP stages.
        use_depthwise: whether the 3x3 blocks are depthwise separable.
        name: prefix of the layers' names.
        settings: as in `conv_block`.

    Returns:
        Three Keras tensors of the shapes of `features`.
    """
    p3, p4, p5 = features
    c3, c4, c5 = (x.shape[settings.channel_axis] for x in features)
    stage = partial(
        csp_stage, depth=depth, use_depthwise=use_depthwise, residual=False, settings=settings
    )
    downsample = partial(
        depthwise_conv_block if use_depthwise else conv_block, strides=2, settings=settings
    )

    def concat(maps: Sequence[Any], name: str) -> Any:
        return keras.layers.Concatenate(
            axis=settings.channel_axis, dtype=settings.dtype, name=f"{name}_concat"
        )(maps)

    def upsample(x: Any, name: str) -> Any:
        return keras.layers.UpSampling2D(
            2, data_format=settings.data_format, dtype=settings.dtype, name=f"{name}_upsample"
        )(x)

    # Top-down, as an FPN.
    lateral5 = conv_block(p5, c4, 1, name=f"{name}_p5_lateral", settings=settings)
    fused4 = concat([upsample(lateral5, f"{name}_p5"), p4], f"{name}_p4")
    fused4 = stage(fused4, c4, name=f"{name}_p4_csp")
    lateral4 = conv_block(fused4, c3, 1, name=f"{name}_p4_lateral", settings=settings)
    fused3 = concat([upsample(lateral4, f"{name}_p4"), p3], f"{name}_p3")
    out3 = stage(fused3, c3, name=f"{name}_p3_csp")
    # Bottom-up: the path aggregation.
    fused4 = concat([downsample(out3, c3, name=f"{name}_n3_down"), lateral4], f"{name}_n4")
    out4 = stage(fused4, c4, name=f"{name}_n4_csp")
    fused5 = concat([downsample(out4, c4, name=f"{name}_n4_down"), lateral5], f"{name}_n5")
    out5 = stage(fused5, c5, name=f"{name}_n5_csp")
    return [out3, out4, out5]
