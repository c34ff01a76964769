"""All-or-nothing loading of a weight file into a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cspdarknet.checkpoints import targets
from cspdarknet.checkpoints.architecture import backbone_of, classifier_head, task_of
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.input_conventions import warn_if_unlikely
from cspdarknet.checkpoints.layer_forms import check_loadable
from cspdarknet.checkpoints.targets import Target


def load_weights(
    model: Any, file: str | Path | Checkpoint, *, skip_layers: Sequence[str] = ()
) -> None:
    """Load the weights of a file into a backbone, a classifier or a detector.

    The format is recognized by the file's content: `.weights.h5` and `.keras` of this package or
    of KerasCV, `.h5` of Keras 2, a YOLOX checkpoint (`.pth`, or `.onnx` with folded batch
    normalization), or `.safetensors`. Every weight of the file must be in the model and every
    weight of the model in the file, with the same shape and finite values; only then is the first
    of them assigned. A backbone takes its weights from a classifier's file and from YOLOX's files.

    Args:
        model: a `CSPDarkNetBackbone`, `ImageClassifier`, `ImageRegressor` or `YOLOXDetector` of
            the file's architecture.
        file: the weight file, or an open `Checkpoint`, which is closed afterwards.
        skip_layers: names of layers that keep their weights.

    Raises:
        CheckpointError: (a `ValueError`) if the file is damaged, unsafe or of another
            architecture; or the model was quantized, or adapted with LoRA.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)
        >>> backbone.save_weights("my.weights.h5")
        >>> load_weights(backbone, "my.weights.h5")
    """
    backbone, head = backbone_of(model), classifier_head(model)
    is_detector = task_of(model) == "detection"
    checkpoint = file if isinstance(file, Checkpoint) else open_checkpoint(Path(file))
    with checkpoint:
        check_loadable(model)
        _check_conventions(checkpoint, backbone)
        if is_detector:
            _check_levels(checkpoint, model)
        warn_if_unlikely(checkpoint, backbone)
        layout = checkpoint.layout(model if is_detector else backbone)
        ignored: set[str] = set()
        if head:
            layout |= _head_targets(checkpoint, head)
        elif not is_detector:
            ignored |= set(checkpoint.head)
        skipped = {id(v) for name in skip_layers for v in model.get_layer(name).weights}
        ignored |= {path for path, item in layout.items() if id(item.variable) in skipped}
        load_targets(checkpoint, layout, ignored)


def load_targets(
    checkpoint: Checkpoint, layout: Mapping[str, Target], ignored: set[str] | None = None
) -> None:
    """Check all weights of an open file, then assign them to their variables.

    Args:
        checkpoint: the open file.
        layout: the variable of each path.
        ignored: paths that are neither checked nor loaded.

    Raises:
        CheckpointError: if the file does not hold exactly these weights.
    """
    ignored = ignored or set()
    file = str(checkpoint.path)
    shapes = {path: shape for path, shape in checkpoint.shapes.items() if path not in ignored}
    loaded = {path: item for path, item in layout.items() if path not in ignored}
    targets.check(file, shapes, loaded)
    targets.assign(targets.read_all(file, checkpoint.read, loaded), loaded)


def _head_targets(checkpoint: Checkpoint, head: list[Any]) -> dict[str, Target]:
    if len(checkpoint.head) != len(head):
        raise CheckpointError(
            f"{checkpoint.path} ({checkpoint.format}) holds no classifier's head with kernel and "
            "bias: load it into `model.backbone`, or use `from_preset` of the model's class for a "
            "new head."
        )
    return dict(zip(checkpoint.head, map(targets.target, head), strict=True))


def _plain(value: Any) -> Any:
    """Return a sequence as a list, as a config has it."""
    return list(value) if isinstance(value, tuple) else value


def _check_levels(checkpoint: Checkpoint, detector: Any) -> None:
    pyramid = checkpoint.config().pyramid
    if pyramid is not None and pyramid.levels != tuple(detector.levels):
        levels = tuple(detector.levels)
        raise CheckpointError(
            f"{checkpoint.path} holds a detector of the levels {', '.join(pyramid.levels)}, and "
            f"the model has {', '.join(levels)}: `load_model(file, levels={levels})` loads what "
            "they have in common."
        )


def _check_conventions(checkpoint: Checkpoint, backbone: Any) -> None:
    for name, value in checkpoint.conventions.items():
        if _plain(getattr(backbone, name)) != value:
            raise CheckpointError(
                f"The weights of {checkpoint.path} ({checkpoint.format}) belong to "
                f"{name}={value!r}; the model has {name}={getattr(backbone, name)!r}."
            )
