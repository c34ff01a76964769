"""Bad arguments of models: a clear ValueError before any graph is built."""

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import SMALL, TINY_NET

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def backbone():
    """A backbone with enough stages for a detector."""
    return CSPDarkNetBackbone([8, 8, 8], [0, 0, 0], include_rescaling=True)


@pytest.fixture
def _no_graph(backbone, monkeypatch):
    """Fail if a check comes after the first layer."""

    def built(*args, **kwargs):
        raise AssertionError("a layer was built before the arguments were checked")

    monkeypatch.setattr("cspdarknet.layers.focus_stem", built)
    monkeypatch.setattr("cspdarknet.yolox.network.pafpn", built)
    monkeypatch.setattr("keras.layers.Dense", built)


def build(**changes):
    return CSPDarkNetBackbone(**{**SMALL, "include_rescaling": True, **changes})


@pytest.mark.usefixtures("_no_graph")
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
        ({"activation": "swish"}, "'silu', 'relu', 'leaky_relu'.*activation='swish'"),
        ({"activation": None}, "activation=None"),
        ({"mean": [0.5] * 3}, "together.*std=None"),
        ({"std": [0.5] * 3}, "together.*mean=None"),
        ({"mean": 0.5, "std": 0.5}, "list of 3 finite numbers.*mean=0.5"),
        ({"mean": [0.5], "std": [0.5]}, r"one for each channel.*mean=\[0.5\]"),
        ({"mean": [0.5, 0.5, "0.5"], "std": [0.5] * 3}, "finite numbers"),
        ({"mean": [0.5, 0.5, True], "std": [0.5] * 3}, "finite numbers"),
        ({"mean": [0.5, 0.5, float("nan")], "std": [0.5] * 3}, "finite numbers"),
        ({"mean": [0.5] * 3, "std": [0.5, 0.0, 0.5]}, "greater than 0"),
        ({"mean": [0.5] * 3, "std": [0.5, -1, 0.5]}, "greater than 0"),
        ({"mean": [0.5] * 3, "std": [1e-40] * 3}, "exceeds float32"),
        ({"mean": [0.5] * 3, "std": [0.5] * 3, "input_shape": (8, 8, 1)}, "list of 1 finite"),
        ({"batch_norm_epsilon": 0.0}, "greater than 0"),
        ({"batch_norm_momentum": 1.5}, "at least 0 and at most 1"),
        ({"input_shape": (224, 224)}, "three entries"),
        ({"input_shape": (1, 224, 224, 3)}, "three entries"),
        ({"input_shape": None}, "must be a tuple"),
        ({"input_shape": 224}, "must be a tuple"),
        ({"input_shape": (None, None, None)}, "number of channels"),
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
def test_backbone(changes, message):
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


@pytest.mark.usefixtures("_no_graph")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 0}, "at least 1"),
        ({"num_classes": True}, "num_classes=True"),
        ({"num_classes": 3.0}, "integer"),
        ({"num_classes": None}, "num_classes=None"),
        ({"num_classes": 10**12}, "at most"),
        ({"pooling": "mean"}, "'avg', 'max'"),
        ({"pooling": None}, "'avg', 'max'"),
        ({"pooling": ["avg"]}, "'avg', 'max'"),
        ({"activation": "softmaxx"}, "activation='softmaxx'"),
        ({"activation": np.tanh}, "name of a Keras activation"),
        ({"activation": {"class_name": "function", "config": "system"}}, "name of a Keras"),
        ({"dropout": 1.0}, "at least 0 and less than 1. Received: dropout=1.0"),
        ({"dropout": -0.1}, "less than 1"),
        ({"dropout": float("nan")}, "less than 1"),
        ({"dropout": "0.5"}, "must be a number"),
        ({"dropout": True}, "must be a number"),
        ({"class_names": ["a", "b"]}, "3 different strings.*2 names"),
        ({"class_names": ["a", "b", "a"]}, "Received: 'a'"),
        ({"class_names": ["a", "b", 3]}, "Received: 3"),
        ({"class_names": ["a", "b", ""]}, "Received: ''"),
        ({"class_names": "abc"}, "class_names='abc'"),
        ({"class_names": 3}, "class_names=3"),
        ({"image_size": 0}, "image_size=0"),
        ({"image_size": (96, 96, 3)}, "image_size"),
        ({"dtype": "int8"}, "float dtype"),
        ({"trainable": "no"}, "True or False"),
        ({"clases": 3, "input_shape": (32, 32, 3)}, "clases, input_shape"),
    ],
)
def test_classifier(changes, message, backbone):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(backbone, **{"num_classes": 3, **changes})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: None,
        lambda: "csp_darknet_tiny",
        lambda: CSPDarkNetBackbone,
        lambda: keras.layers.Conv2D(3, 1),
        lambda: keras.Sequential([keras.layers.Conv2D(3, 1)]),  # not built
        lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]),
        lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]),
        lambda: CSPDarkNetBackbone(**TINY_NET, include_rescaling=True).feature_pyramid([0, 1]),
        lambda: ImageClassifier(CSPDarkNetBackbone([8], [0], True), 3),
    ],
)
def test_backbone_of_a_classifier(wrong):
    with pytest.raises(ValueError, match="`backbone` must be a CSPDarkNetBackbone"):
        ImageClassifier(wrong(), 3)


@pytest.mark.usefixtures("_no_graph")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be an integer, at least 1"),
        ({"num_classes": 2.5}, "`num_classes`"),
        ({"backbone": "tiny"}, "`backbone` must be a CSPDarkNetBackbone with 3 stages"),
        ({"class_names": ["a"]}, "`class_names` must be a list of 3"),
        ({"image_size": 100}, "`image_size` must be a multiple of 16"),
        ({"score_threshold": 1.5}, "`score_threshold` must be a number, at least 0 and at most 1"),
        ({"score_threshold": [0.5, 0.5]}, "one for each of the 3 classes. Received: 2 numbers"),
        ({"iou_threshold": float("nan")}, "`iou_threshold`"),
        ({"max_detections": 0}, "`max_detections`"),
        ({"bounding_box_format": "polygon"}, "must be one of 'xyxy', 'yxyx'"),
        ({"neck_depth": -1}, "`neck_depth`"),
        ({"head_channels": 0}, "`head_channels`"),
        ({"head_width": 3}, "Unrecognized keyword arguments: head_width"),
    ],
)
def test_detector(changes, message, backbone):
    with pytest.raises(ValueError, match=message):
        YOLOXDetector(**{"backbone": backbone, "num_classes": 3, **changes})


def test_backbone_of_a_detector(tiny_net):
    for wrong in (tiny_net, keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1)])):
        with pytest.raises(ValueError, match="3 stages or more"):
            YOLOXDetector(wrong, 3)
