"""Building blocks of CSPDarkNet: functions from a Keras tensor to a Keras tensor.

The blocks consist of standard Keras layers only, so that a model built from them can be saved and
loaded without this package. The last layer of a block has the block's name:
`model.get_layer("dark3_csp").output` is the output of the second stage.

References:
    CSPNet (https://arxiv.org/abs/1911.11929) section 3.2; YOLOv4 (https://arxiv.org/abs/2004.10934)
    section 3.4; YOLOX (https://arxiv.org/abs/2107.08430), `yolox/models/network_blocks.py`.
"""

from functools import partial

from cspdarknet._kerascv import missing
from cspdarknet.layers.blocks import (
    conv_block,
    depthwise_conv_block,
    focus_stem,
    prediction_conv,
)
from cspdarknet.layers.settings import ACTIVATIONS, BlockSettings, float32_or_wider
from cspdarknet.layers.stages import bottleneck_chain, csp_stage, spp, squeeze_excitation

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

# KerasCV's module of this name has layers of all kinds.
__getattr__ = partial(missing, __name__)
