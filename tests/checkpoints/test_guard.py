"""Functions of an open file raise one class of errors."""

from dataclasses import replace

import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.guard import guarded

pytestmark = pytest.mark.one_backend


def test_every_function_is_guarded(state_dict):
    def fail(*arguments):
        raise RecursionError(f"with {len(arguments)} arguments")

    checkpoint = open_checkpoint(state_dict)
    broken = guarded(replace(checkpoint, read=fail, layout=fail, config=fail, read_as=fail))
    for call in (
        lambda: broken.read("a"),
        lambda: broken.layout(None),
        lambda: broken.config(),
    ):
        with pytest.raises(CheckpointError, match=rf"{state_dict} .*RecursionError: with"):
            call()
    convention = guarded(checkpoint).read_as("bgr")
    assert convention.shapes == checkpoint.shapes
    with pytest.raises(CheckpointError, match="not a readable weight file"):
        convention.layout(None)
