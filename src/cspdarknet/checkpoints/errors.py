"""Error of a weight file that cannot be loaded."""


class CheckpointError(ValueError):
    """A weight file is damaged, unsafe, or of another architecture than the model."""
