"""Read weight files of other origins into the models of this package."""

from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.load import load_weights

__all__ = ["CheckpointError", "load_weights"]
