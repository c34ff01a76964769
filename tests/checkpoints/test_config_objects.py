"""Objects inside a config that Keras builds."""

import keras
import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.config_objects import check_objects
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, load_model
from support import TINY_NET, assert_same_weights

pytestmark = pytest.mark.one_backend


def conv(**config):
    return {"class_name": "Conv2D", "module": "keras.layers", "config": config}


@keras.saving.register_keras_serializable(package="test_config_objects")
class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2


def test_layers_in_front_of_a_backbone(tmp_path):
    images = keras.Input((32, 32, 4))
    x = keras.layers.Resizing(16, 16)(images)
    x = Halved()(keras.layers.Conv2D(3, 3, padding="same")(x) - 0.5)
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=False, input_tensor=x)
    for model in (backbone, ImageClassifier(backbone, 3)):
        model.save_to_preset(tmp_path / model.name)
        assert_same_weights(load_model(tmp_path / model.name), model)
        check_objects(model.get_config())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"class_name": "Popen", "module": "subprocess", "config": {}}, "'Popen' of the module"),
        ({"class_name": "Lambda", "module": "keras.layers", "config": {}}, "'Lambda'"),
        ({"class_name": "TFSMLayer", "module": "keras.layers", "config": {}}, "'TFSMLayer'"),
        ({"class_name": "function", "module": "builtins", "config": "get_file"}, "'function'"),
        ({"class_name": "Halved", "module": "kerasx", "registered_name": "x>Halved"}, "'Halved'"),
        ({"class_name": 5, "module": "keras"}, "the class 5"),
        ([conv(filters=100_000), conv(filters=100_000)], "large layers"),
        (conv(filters=300, kernel_size=[5000, 5000]), "large layers"),
        ([[[[]]]] * 3, None),
        ({"class_name": "DTypePolicy", "module": "keras", "config": {"name": "float32"}}, None),
    ],
)
def test_classes_and_sizes(value, message):
    arguments = {"input_tensor": {"class_name": "Functional", "config": {"layers": [value]}}}
    if message is None:
        check_objects(arguments)
        return
    with pytest.raises(CheckpointError, match=message):
        check_objects(arguments)


def test_depth():
    value = []
    for _ in range(200):
        value = [value]
    with pytest.raises(CheckpointError, match="nested more than 100 times"):
        check_objects({"input_tensor": value})
