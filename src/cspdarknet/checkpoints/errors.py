"""The one error that a weight file can cause."""


class CheckpointError(ValueError):
    """A weight file is damaged, unsafe, or does not belong to the model."""
