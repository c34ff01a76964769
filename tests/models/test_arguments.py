"""Bad arguments: a clear ValueError before any graph is built."""

import keras
import numpy as np
import pytest

import cspdarknet
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.models.backbone import layers as backbone_layers
from support import SMALL

pytestmark = pytest.mark.one_backend


@pytest.fixture(autouse=True)
def _no_graph(monkeypatch):
    """Fail if a check comes after the first layer."""

    def built(*args, **kwargs):
        raise AssertionError("a layer was built before the arguments were checked")

    monkeypatch.setattr(backbone_layers, "focus_stem", built)


def build(**changes):
    return CSPDarkNetBackbone(**{**SMALL, "include_rescaling": True, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stackwise_depth": [1, 2, 2]}, "same length"),
        ({"stackwise_channels": [16, 32]}, "same length"),
        ({"stackwise_channels": []}, "empty"),
        ({"stackwise_depth": ()}, "empty"),
        ({"stackwise_channels": [1, 2, 2, 2]}, "at least 2"),
        ({"stackwise_channels": [0, 2, 2, 2]}, "at least 2"),
        ({"stackwise_channels": [16, -32, 64, 128]}, "at least 2"),
        ({"stackwise_channels": [16.0, 32, 64, 128]}, r"integers.*16\.0"),
        ({"stackwise_channels": [True, 32, 64, 128]}, "integers"),
        ({"stackwise_channels": "1234"}, "list of integers"),
        ({"stackwise_channels": 16}, "list of integers"),
        ({"stackwise_channels": None}, "list of integers"),
        ({"stackwise_depth": [1, 2, 2, -1]}, "at least 0"),
        ({"stackwise_depth": [1, 2, 2, 1.5]}, "integers"),
        ({"include_rescaling": "no"}, "True or False"),
        ({"include_rescaling": None}, "True or False"),
        ({"use_depthwise": 1}, "True or False"),
        ({"padding": "valid"}, "'same', 'symmetric'"),
        ({"data_format": "NCHW"}, "channels_last"),
        ({"batch_norm_epsilon": 0.0}, "greater than 0"),
        ({"batch_norm_momentum": 1.5}, r"0\.\.1"),
        ({"input_shape": (224, 224)}, "three entries"),
        ({"input_shape": (1, 224, 224, 3)}, "three entries"),
        ({"input_shape": None}, "must be a tuple"),
        ({"input_shape": 224}, "must be a tuple"),
        ({"input_shape": (None, None, None)}, "channels must be known"),
        ({"input_shape": (0, 32, 3)}, "positive"),
        ({"input_shape": (32.0, 32, 3)}, "positive"),
        ({"input_shape": (64, 64, 3), "image_shape": (32, 32, 3)}, "another name"),
        ({"input_shape": (64, 64, 3), "data_format": "channels_first"}, r"pass \(3, 64, 64\)"),
        ({"stackwise_channels": [10**13, 2, 2, 2]}, "at most"),
        ({"stackwise_depth": [10**9, 1, 1, 1]}, "at most"),
        ({"stackwise_channels": {16, 32, 64, 128}}, "list of integers"),
        ({"batch_norm_epsilon": "1e-3"}, "number"),
        ({"batch_norm_epsilon": float("inf")}, "number"),
        ({"batch_norm_momentum": None}, "number"),
        ({"data_format": ""}, "channels_last"),
        ({"dtype": "uint8"}, "float dtype"),
        ({"dtype": "nonsense"}, "float dtype"),
        ({"dtype": {"class_name": "x"}}, "float dtype"),
        ({"trainable": "no"}, "True or False"),
        ({"input_tensor": keras.KerasTensor((None, 8, 8, 3))}, "Keras tensor"),
        ({"foo": 1}, "Unrecognized.*foo"),
        ({"weights": "imagenet"}, "Unrecognized.*weights"),
        ({"input_tensor": np.zeros((1, 64, 64, 3))}, "Keras tensor"),
    ],
)
def test_a_clear_error(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_an_input_shape_that_contradicts_the_input_tensor():
    with pytest.raises(ValueError, match="contradicts"):
        build(input_tensor=keras.Input((64, 64, 3)), input_shape=(128, 128, 3))
    with pytest.raises(ValueError, match="contradicts"):
        build(input_tensor=keras.Input((64, 64, 3)), image_shape=(64, 64, 1))


def test_an_input_tensor_of_the_wrong_rank():
    with pytest.raises(ValueError, match="three entries"):
        build(input_tensor=keras.Input((64, 3)))


def test_aliases_refuse_what_the_backbone_refuses():
    with pytest.raises(ValueError, match="foo"):
        cspdarknet.models.CSPDarkNetTinyBackbone(foo=1)
    with pytest.raises(TypeError, match="at most"):
        cspdarknet.models.CSPDarkNetTinyBackbone(True, (32, 32, 3), None, 1)
    with pytest.raises(TypeError, match="two values"):
        cspdarknet.models.CSPDarkNetTinyBackbone(True, include_rescaling=False)
