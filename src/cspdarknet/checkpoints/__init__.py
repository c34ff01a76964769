"""Readers and writers of weight files."""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.checkpoints.errors import CheckpointError
    from cspdarknet.checkpoints.identification import identify
    from cspdarknet.checkpoints.input_conventions import InputConventionWarning
    from cspdarknet.checkpoints.loading import load_weights
    from cspdarknet.checkpoints.transfer import LevelsWarning, Transfer
    from cspdarknet.checkpoints.weight_file import WeightFile

__all__ = [
    "CheckpointError",
    "InputConventionWarning",
    "LevelsWarning",
    "Transfer",
    "WeightFile",
    "identify",
    "load_weights",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CheckpointError": "errors",
        "InputConventionWarning": "input_conventions",
        "LevelsWarning": "transfer",
        "Transfer": "transfer",
        "WeightFile": "weight_file",
        "identify": "identification",
        "load_weights": "loading",
    },
)
