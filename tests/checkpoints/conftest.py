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
