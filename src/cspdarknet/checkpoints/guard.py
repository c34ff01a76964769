"""One exception class out of every reader, whatever happens inside."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.errors import damage_reported


def guarded(checkpoint: Checkpoint) -> Checkpoint:
    """Return an open file whose functions raise `CheckpointError` for every error.

    Args:
        checkpoint: the open file.
    """

    def guard(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any) -> Any:
            with damage_reported(checkpoint.path):
                return function(*arguments)

        return call

    read_as = checkpoint.read_as
    return replace(
        checkpoint,
        read=guard(checkpoint.read),
        layout=guard(checkpoint.layout),
        config=guard(checkpoint.config),
        read_as=None if read_as is None else lambda convention: guarded(read_as(convention)),
    )
