"""`.weights.h5` files of Keras 3, of this package and of KerasCV."""

import shutil

import h5py
import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import GOLDEN, SMALL, TINY_NET, needs_golden, randomize

pytestmark = pytest.mark.one_backend

KERASCV = GOLDEN / "kcv09_small" / "preset" / "model.weights.h5"
DENSE = "layers/dense/vars"


@pytest.fixture(scope="module")
def classifier():
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3))


@pytest.fixture(scope="module")
def weights(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "a.weights.h5"
    conversion.save(classifier, path)
    return path


def test_config(weights):
    with open_checkpoint(weights) as checkpoint:
        config = checkpoint.config()
    assert (config.backbone, config.head) == ({}, {"num_classes": 3})
    assert config.task == "classification"


@needs_golden
def test_config_of_kerascv():
    with open_checkpoint(KERASCV) as checkpoint:
        config = checkpoint.config()
    assert config.head is None
    assert config.backbone == {
        **SMALL,
        "use_depthwise": False,
        "include_rescaling": True,
        "input_shape": (None, None, 3),
    }


@needs_golden
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stackwise_depth": [1, 1, 1, 1]}, "not in the model"),
        ({"stackwise_depth": [1, 2, 3, 1]}, "missing"),
        ({"stackwise_channels": [16, 32, 64, 130]}, "the model needs"),
        ({"use_depthwise": True}, "another architecture"),
    ],
)
def test_other_architectures(changes, message, refuses):
    model = CSPDarkNetBackbone(**{**SMALL, "include_rescaling": True, **changes})
    refuses(KERASCV, message, model)


def replace(name, data):
    def change(file):
        del file[f"{DENSE}/{name}"]
        file[f"{DENSE}/{name}"] = data

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("0", np.full((6, 3), np.nan)), "NaN"),
        (replace("1", np.full(3, np.inf)), "infinite"),
        (replace("0", np.zeros((6, 4))), r"\(6, 4\).*\(6, 3\)"),
        (replace("1", np.full(3, b"x")), "not numbers"),
        (lambda file: file.__delitem__(f"{DENSE}/1"), "no classifier's head with kernel and bias"),
        (lambda file: file.__delitem__(DENSE), "no classifier's head"),
        (lambda file: file.create_dataset(f"{DENSE}/2", data=1.0), "not in the model"),
        (lambda file: file.create_dataset("layers/dense_1/vars/0", data=1.0), "not in the model"),
        (
            lambda file: file.__delitem__("layers/csp_dark_net_backbone/layers/conv2d/vars/0"),
            "missing",
        ),
    ],
)
def test_damaged_classifiers(change, message, weights, classifier, tmp_path, refuses):
    path = shutil.copy(weights, tmp_path / "a.weights.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    refuses(path, message, classifier)
