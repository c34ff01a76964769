"""Read weight files of other origins into the models of this package, and write them."""

from cspdarknet.checkpoints.convert import load, save
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.load import load_weights

__all__ = ["CheckpointError", "load", "load_weights", "save"]
