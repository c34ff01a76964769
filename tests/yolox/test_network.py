"""The YOLOX network on a backbone: saved detectors depend on its layers and their order."""

import keras
import pytest

from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.yolox.network import detection_strides, yolox_outputs
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


def test_the_deepest_three_levels_are_used(backbone):
    assert detection_strides(backbone) == {"P3": 8, "P4": 16, "P5": 32}
    three = CSPDarkNetBackbone([8, 8, 8], [0, 0, 0], True)
    assert detection_strides(three) == {"P2": 4, "P3": 8, "P4": 16}
