"""Readers and writers of weight files."""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.checkpoints.errors import CheckpointError
    from cspdarknet.checkpoints.loading import load_weights

__all__ = ["CheckpointError", "load_weights"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CheckpointError": "errors",
        "load_weights": "loading",
    },
)
