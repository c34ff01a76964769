"""Small models and files in the manner of YOLOX, for the tests of readers."""

from cspdarknet.models import CSPDarkNetBackbone
from support import randomize, to_numpy

NET = {"stackwise_channels": [4, 6], "stackwise_depth": [1, 2], "include_rescaling": False}


def build(**changes):
    return randomize(CSPDarkNetBackbone(**{**NET, **changes}))


def yolox_like(**changes):
    model = build(padding="symmetric", batch_norm_momentum=0.97, **changes)
    kernel = model.get_layer("stem_conv_conv").kernel
    kernel.assign(to_numpy(kernel) / 50)  # as small as weights for images of 0..255 are
    return model
