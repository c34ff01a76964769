"""Load a weight file into a model: all of it, checked, or nothing."""

from pathlib import Path
from typing import Any

from cspdarknet.checkpoints import formats, targets
from cspdarknet.checkpoints.architecture import is_detector, parts
from cspdarknet.checkpoints.errors import CheckpointError


def load_weights(model: Any, path: str | Path) -> None:
    """Load the weights of a file into a backbone, a classifier or a detector.

    The file is recognized by its content: `.weights.h5` of this package or of KerasCV, `.h5` of
    Keras 2, a YOLOX checkpoint (`.pth`, or `.onnx` with folded batch-norms), or `.safetensors`.
    Each of its weights must have its place in the model, and each of the model's weights must be
    in the file, with the same shape and finite values. Only then is the first of them assigned.
    A backbone takes its part of a classifier's file, and of YOLOX's files.

    Args:
        model: a `CSPDarkNetBackbone`, `ImageClassifier` or `YOLOXDetector` of the file's
            architecture.
        path: the file.

    Raises:
        CheckpointError: (a `ValueError`) if the file is damaged, unsafe or of another model.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)
        >>> backbone.save_weights("my.weights.h5")
        >>> load_weights(backbone, "my.weights.h5")
    """
    path = Path(path)
    backbone, head = parts(model)
    with formats.opened(path) as checkpoint:
        _check_conventions(path, checkpoint, backbone)
        wanted = checkpoint.layout(model if is_detector(model) else backbone)
        shapes = dict(checkpoint.shapes)
        if head:
            wanted |= _head_targets(path, checkpoint, head)
        elif not is_detector(model):  # a backbone has no use for the head of a classifier
            shapes = {name: shapes[name] for name in shapes if name not in checkpoint.head}
        targets.check(str(path), shapes, wanted)
        arrays = targets.read_all(str(path), checkpoint.read, wanted)
    targets.assign(arrays, wanted)


def _head_targets(
    path: Path, checkpoint: formats.Checkpoint, head: list[Any]
) -> dict[str, targets.Target]:
    if len(checkpoint.head) != len(head):
        raise CheckpointError(
            f"{path} ({checkpoint.kind}) holds no classifier's head with kernel and bias: load it "
            "into `model.backbone`, or use ImageClassifier.from_preset for a new head."
        )
    return dict(zip(checkpoint.head, map(targets.target, head), strict=True))


def _check_conventions(path: Path, checkpoint: formats.Checkpoint, model: Any) -> None:
    for name, value in checkpoint.conventions.items():
        if getattr(model, name) != value:
            raise CheckpointError(
                f"The weights of {path} ({checkpoint.kind}) belong to {name}={value!r}; the model "
                f"has {name}={getattr(model, name)!r}."
            )
