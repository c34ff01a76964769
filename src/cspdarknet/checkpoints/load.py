"""Load a weight file into a model: all of it, checked, or nothing."""

from pathlib import Path
from typing import Any

from cspdarknet.checkpoints import formats, targets
from cspdarknet.checkpoints.errors import CheckpointError


def load_weights(model: Any, path: str | Path) -> None:
    """Load the weights of a file into a backbone.

    The file is recognised by its content: `.weights.h5` of this package or of KerasCV, `.h5` of
    Keras 2, a YOLOX checkpoint (`.pth`, or `.onnx` with folded batch-norms), or `.safetensors`.
    Each of its weights must have its place in the model, and each of the model's weights must be
    in the file, with the same shape and finite values. Only then is the first of them assigned.

    Args:
        model: a `CSPDarkNetBackbone` of the file's architecture.
        path: the file.

    Raises:
        CheckpointError: (a `ValueError`) if the file is damaged, unsafe or of another model.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)
        >>> backbone.save_weights("my.weights.h5")
        >>> load_weights(backbone, "my.weights.h5")
    """
    path = Path(path)
    if not hasattr(model, "stackwise_depth"):
        raise ValueError(
            f"`model` must be a CSPDarkNetBackbone. Received: a {type(model).__name__}"
        )
    with formats.opened(path) as checkpoint:
        _check_conventions(path, checkpoint, model)
        wanted = checkpoint.layout(model)
        targets.check(str(path), checkpoint.shapes, wanted)
        arrays = targets.read_all(str(path), checkpoint.read, wanted)
    targets.assign(arrays, wanted)


def _check_conventions(path: Path, checkpoint: formats.Checkpoint, model: Any) -> None:
    for name, value in checkpoint.conventions.items():
        if getattr(model, name) != value:
            raise CheckpointError(
                f"The weights of {path} ({checkpoint.kind}) belong to {name}={value!r}; the model "
                f"has {name}={getattr(model, name)!r}."
            )
