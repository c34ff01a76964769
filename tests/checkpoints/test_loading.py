"""Weight files that do not belong to the model, or that nobody should trust."""

import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet.checkpoints import CheckpointError, load_weights
from cspdarknet.models import CSPDarkNetBackbone
from support import GOLDEN, SMALL, needs_golden, randomize, to_numpy

pytestmark = pytest.mark.one_backend

NET = {"stackwise_channels": [4, 6], "stackwise_depth": [1, 2], "include_rescaling": True}


def build(**changes):
    return CSPDarkNetBackbone(**{**NET, **changes})


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.weights.h5"
    randomize(build()).save_weights(path)
    return path


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture
def copy(weights, tmp_path):
    path = tmp_path / "copy.weights.h5"
    path.write_bytes(weights.read_bytes())
    return path


def refused(path, message="", **changes):
    """Check that a file is refused, and that no variable of the model moved."""
    model = build(**changes)
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=message) as error:
        load_weights(model, path)
    assert str(path) in str(error.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_loads(weights):
    model = build()
    load_weights(model, str(weights))
    expected = randomize(build())
    for a, b in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stackwise_depth": [1, 1]}, "weights have no place in the model"),
        ({"stackwise_depth": [1, 3]}, "weights are missing"),
        ({"stackwise_channels": [4, 8]}, r"shape \(.*the model needs"),
        ({"use_depthwise": True}, "does not belong"),
        ({"input_shape": (32, 32, 1)}, "the model needs"),
        ({"stackwise_channels": [4, 6, 8], "stackwise_depth": [1, 2, 1]}, "missing"),
    ],
)
def test_other_architectures(weights, changes, message):
    refused(weights, message, **changes)


@needs_golden
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stackwise_depth": [1, 1, 1, 1]}, "no place in the model"),
        ({"stackwise_depth": [1, 2, 3, 1]}, "missing"),
        ({"stackwise_channels": [16, 32, 64, 130]}, "the model needs"),
        ({"use_depthwise": True}, "does not belong"),
    ],
)
def test_other_architectures_in_kerascv_files(changes, message):
    path = GOLDEN / "kcv09_small" / "preset" / "model.weights.h5"
    refused(path, message, **{**SMALL, **changes})


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


FIRST = "layers/conv2d/vars/0"


def set_nan(file):
    file[FIRST][0, 0, 0, 0] = np.nan


def replace(**kwargs):
    def change(file):
        del file[FIRST]
        file.create_dataset(FIRST, **kwargs)

    return change


def soft_link(file):
    del file[FIRST]
    file[FIRST] = h5py.SoftLink("/layers/conv2d_1/vars/0")


def external_link(file):
    del file[FIRST]
    file[FIRST] = h5py.ExternalLink("/etc/passwd", "/")


def cycle(file):
    file["layers/loop"] = file["layers"]


def external_storage(file):
    del file[FIRST]
    file.create_dataset(FIRST, (6, 6, 3, 2), "float32", external=[("/etc/passwd", 0, 864)])


def virtual(file):
    del file[FIRST]
    layout = h5py.VirtualLayout((6, 6, 3, 2), "float32")
    file.create_virtual_dataset(FIRST, layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_nan, "NaN"),
        (replace(data=np.full((6, 6, 3, 2), np.inf)), "infinite"),
        (replace(data=np.zeros((6, 6, 3, 1))), "shape"),
        (replace(shape=(10**6, 10**6), dtype="float32", chunks=(100, 100)), "shape"),
        (replace(data=np.full((6, 6, 3, 2), b"x")), "not numbers"),
        (replace(data=np.zeros((6, 6, 3, 2), "complex64")), "not numbers"),
        (lambda file: file.create_dataset("extra", data=1.0), "no place in the model"),
        (lambda file: file.__delitem__(FIRST), "missing"),
        (soft_link, "link"),
        (external_link, "link"),
        (cycle, "repeats"),
        (external_storage, "outside the file"),
        (virtual, "outside the file"),
    ],
)
def test_damaged_and_hostile_files(copy, change, message):
    refused(edit(copy, change), message)


def test_not_a_file(tmp_path):
    refused(tmp_path / "none.h5", "no weight file")
    refused(tmp_path, "no weight file")
    (tmp_path / "empty.h5").touch()
    refused(tmp_path / "empty.h5", "damaged")


@settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")))
@given(st.floats(0, 1), st.sampled_from(["cut", "flip", "zero"]), st.integers(0, 255))
def test_random_damage_never_half_loads(model, weights, tmp_path_factory, where, how, value):
    """Either the damage shows, or every variable is exactly that of a readable file."""
    data = bytearray(weights.read_bytes())
    position = int(where * (len(data) - 1))
    if how == "cut":
        data = data[:position]
    elif how == "flip":
        data[position] ^= value
    else:
        data[position : position + value] = bytes(len(data[position : position + value]))
    path = tmp_path_factory.mktemp("fuzz") / "model.weights.h5"
    path.write_bytes(bytes(data))
    before = model.get_weights()
    try:
        load_weights(model, path)
    except CheckpointError:
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    else:
        assert all(np.isfinite(w).all() for w in model.get_weights())
