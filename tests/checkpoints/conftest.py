"""Fixtures of the tests of weight files."""

import numpy as np
import pytest

from cspdarknet.checkpoints import CheckpointError, load_weights
from cspdarknet.models import CSPDarkNetBackbone
from yolox_files import NET


@pytest.fixture(scope="session")
def target_model():
    """One model for many damaged files: building it takes longer than refusing a file."""
    return CSPDarkNetBackbone(**NET, padding="symmetric")


@pytest.fixture
def refuses(target_model):
    """Checks that a file is refused with an error that names it, and the model is untouched."""

    def check(path, message, model=target_model):
        before = model.get_weights()
        with pytest.raises(CheckpointError, match=message) as error:
            load_weights(model, path)
        assert str(path) in str(error.value)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    return check


@pytest.fixture
def loads_all_or_nothing():
    """Checks that a damaged file is refused as a whole, or gives finite weights."""

    def check(path, model):
        before = model.get_weights()
        try:
            load_weights(model, path)
        except CheckpointError:
            for a, b in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
        else:
            assert all(np.isfinite(w).all() for w in model.get_weights())

    return check


def damaged(data, position, change, value):
    """Damage a file's content at a relative position in 0..1."""
    data = bytearray(data)
    at = int(position * (len(data) - 1))
    if change == "cut":
        return bytes(data[:at])
    if change == "swap":
        return bytes(data[at:] + data[:at])
    if change == "flip":
        data[at] ^= value
    else:
        data[at : at + value] = bytes(len(data[at : at + value]))
    return bytes(data)


@pytest.fixture
def damage():
    return damaged
