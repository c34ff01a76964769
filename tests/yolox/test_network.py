"""The YOLOX network on a backbone: saved detectors depend on its layers and their order."""

import keras
import pytest

from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.yolox.network import yolox_outputs
from support import SMALL

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def backbone():
    return CSPDarkNetBackbone(**SMALL, include_rescaling=True)


def test_the_layers_are_those_of_a_detector(backbone):
    plain = keras.Model(backbone.input, yolox_outputs(backbone, 3, neck_depth=2, head_channels=8))
    detector = YOLOXDetector(backbone, 3, neck_depth=2, head_channels=8)
    assert [layer.name for layer in plain.layers] == [layer.name for layer in detector.layers]
    assert [v.path for v in plain.weights] == [v.path for v in detector.weights]
    assert [v.shape for v in plain.weights] == [v.shape for v in detector.weights]


def test_the_sizes_of_yolox_are_the_defaults(backbone):
    outputs = yolox_outputs(backbone, 3)
    model = keras.Model(backbone.input, outputs)
    assert list(outputs) == ["boxes", "objectness", "classes"]
    assert model.get_layer("head_p3_stem").output.shape[-1] == SMALL["stackwise_channels"][1]
    names = {layer.name for layer in model.layers}
    assert "neck_n5_csp_bottleneck1_conv1" in names
    assert "neck_n5_csp_bottleneck2_conv1" not in names


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_neck_and_head_have_the_activation_of_the_backbone(activation):
    backbone = CSPDarkNetBackbone([4, 4, 4], [0, 0, 0], True, activation=activation)
    model = keras.Model(backbone.input, yolox_outputs(backbone, 2))
    # The last layer of each block has the name of its batch normalization, without "_bn".
    blocks = [layer.name.removesuffix("_bn") for layer in model.layers if "_bn" in layer.name]
    kinds = {type(layer) for layer in model.layers if layer.name in blocks}
    named = {"relu": keras.layers.Activation, "leaky_relu": keras.layers.LeakyReLU}
    assert kinds == {named[activation]}
    assert "silu" not in str([layer.get_config().get("activation") for layer in model.layers])


def layers_of(backbone, **arguments):
    outputs = yolox_outputs(backbone, 3, **arguments)
    return {layer.name: layer for layer in keras.Model(backbone.input, outputs).layers}


def test_the_default_is_yolox_with_its_names(backbone):
    default, stated = layers_of(backbone), layers_of(backbone, levels=["P3", "P4", "P5"])
    assert list(default) == list(stated)
    blocks = {name.split("_")[1] for name in default if name.startswith("neck")}
    assert blocks == {"p3", "p4", "p5", "n3", "n4", "n5"}
    three = CSPDarkNetBackbone([8, 8, 8], [0, 0, 0], True)
    names = layers_of(three)
    # The neck's names are those of YOLOX on any backbone; the head's are the levels.
    assert {"neck_p5_lateral_conv", "neck_n5_csp_conv3_conv", "head_p2_stem_conv"} <= set(names)
    assert "head_p5_stem_conv" not in names


def test_a_level_above_the_backbone_is_a_block_of_stride_2(backbone):
    layers = layers_of(backbone, levels=["P5", "P6"])
    conv = layers["neck_p6_conv_conv"]
    assert conv.strides == (2, 2)
    assert conv.kernel.shape == (3, 3, 128, 128)
    assert conv.input is backbone.output


@pytest.mark.parametrize("levels", [["P2"], ["P2", "P3"], ["P4"], ["P6"], ["P2", "P3", "P4", "P5"]])
def test_no_stage_of_the_backbone_is_left_out(backbone, levels):
    layers = layers_of(backbone, levels=levels)
    assert {layer.name for layer in backbone.layers} <= set(layers)
    heads = {name.split("_")[1] for name in layers if name.startswith("head_")}
    assert heads == {level.lower() for level in levels}
    # As wide as in YOLOX, so that weights fit detectors of other levels.
    assert layers[f"head_{levels[0].lower()}_stem_conv"].filters == 32
