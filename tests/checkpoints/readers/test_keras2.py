"""HDF5 files of Keras 2. The comparisons with the original are in `tests/golden`."""

import shutil

import h5py
import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.models import CSPDarkNetBackbone
from support import GOLDEN, SMALL, needs_golden

pytestmark = [pytest.mark.one_backend, needs_golden]

KERAS_2 = GOLDEN / "legacy_h5"
ARCHITECTURE = {**SMALL, "stackwise_depth": [1, 3, 3, 1]}


@pytest.mark.parametrize(
    ("name", "use_depthwise", "head"),
    [
        ("notop.h5", False, None),
        ("notop_depthwise.h5", True, None),
        ("top.h5", False, {"num_classes": 10}),
    ],
)
def test_config(name, use_depthwise, head):
    with open_checkpoint(KERAS_2 / name) as checkpoint:
        config = checkpoint.config()
    assert config.head == head
    assert config.assumed == {"include_rescaling"}
    assert config.backbone == {
        **ARCHITECTURE,
        "use_depthwise": use_depthwise,
        "include_rescaling": True,
        "input_shape": (None, None, 3),
    }


@pytest.fixture(scope="module")
def model():
    return CSPDarkNetBackbone(**ARCHITECTURE, include_rescaling=True)


def test_other_architectures(refuses):
    model = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    refuses(KERAS_2 / "notop.h5", "its layers hold .* weights, those of the model", model)


def keep_layers(count):
    def change(file):
        file.attrs["layer_names"] = list(file.attrs["layer_names"])[:count]

    return change


def forget_a_weight(file):
    layers = [file[name] for name in file.attrs["layer_names"]]
    layer = next(layer for layer in layers if layer.attrs["weight_names"].size)
    del layer[layer.attrs["weight_names"][0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (keep_layers(0), "does not hold the layers of a CSPDarkNet"),
        (keep_layers(3), "does not hold the layers of a CSPDarkNet"),
        (forget_a_weight, "does not hold the layers of a CSPDarkNet"),
        (lambda file: file.__delitem__(file.attrs["layer_names"][2]), "not a readable HDF5 file"),
        (lambda file: file.attrs.__setitem__("layer_names", 5), "where names are expected"),
    ],
)
def test_damaged_files(change, message, tmp_path, refuses, model):
    path = shutil.copy(KERAS_2 / "notop.h5", tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(CheckpointError, match=message) as error:
        open_checkpoint(path).config()
    assert str(path) in str(error.value)
    refuses(path, "a.h5", model)
