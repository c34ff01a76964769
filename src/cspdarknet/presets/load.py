"""Construction of a model from a preset, whose arguments can be overridden."""

import inspect
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import keras
import numpy as np

from cspdarknet._arguments import MAX_CHANNELS, MAX_CLASSES, MAX_DEPTH, check_count
from cspdarknet._labels import SINGLE
from cspdarknet.checkpoints.architecture import backbone_of, task_of
from cspdarknet.checkpoints.config import BACKBONE
from cspdarknet.checkpoints.errors import CheckpointError, shortened
from cspdarknet.checkpoints.loading import load_targets, load_weights
from cspdarknet.checkpoints.model_size import config_size
from cspdarknet.checkpoints.transfer import class_layers, transfer, warn_of_new_layers
from cspdarknet.presets.channels import with_channels
from cspdarknet.presets.sources import PresetFiles
from cspdarknet.yolox.levels import NUM_LEVELS, Pyramid
from cspdarknet.yolox.network import yolox_outputs

Model = TypeVar("Model")

# Backbone arguments that may differ from the preset's without invalidating its weights.
FREE_ARGUMENTS = frozenset(
    {
        "batch_norm_momentum",
        "data_format",
        "dtype",
        "frozen_layers",
        "image_shape",
        "input_shape",
        "input_tensor",
        "name",
        "output_stride",
        "trainable",
    }
)
# Backbone arguments that a config may leave out, and their values then.
DEFAULTS = {
    "use_depthwise": False,
    "padding": "same",
    "batch_norm_epsilon": 1e-3,
    "activation": "silu",
    "mean": None,
    "std": None,
}
# Arguments of a classifier's head that are for one kind of labels.
OF_LABELS = ("labels", "activation", "score_threshold", "temperature")
SPARE_PARAMETERS, MAX_SHOWN = 1_000_000, 10**15


def build(cls: type[Model], files: PresetFiles, overrides: dict[str, Any]) -> Model:
    """Build a model from the files of a preset, and close them.

    A classifier or detector keeps the preset's head if that is of the same task and has the same
    classes. Otherwise its head is new; a detector of other classes keeps its neck and all of its
    head but the class predictions.

    Args:
        cls: `CSPDarkNetBackbone`, `ImageClassifier`, `ImageRegressor` or `YOLOXDetector`.
        files: the files, as `presets.sources.find` returns them.
        overrides: constructor arguments of the head and of the backbone that override the
            preset's; `input_convention`, for a weight file of YOLOX; and `channels`, for images of
            another number of channels than those of the weights.

    Returns:
        The model.

    Raises:
        ValueError: if arguments are missing or malformed, or the weights do not fit them.
    """
    overrides = dict(overrides)
    channels = overrides.pop("channels", None)
    with files, _malformed_config_reported(files.origin):
        files = files.read_as(overrides.pop("input_convention", None))
        own, others = _split_overrides(cls, overrides)
        head = None if task_of(cls) == "features" else _head_arguments(cls, files, own)
        arguments = _backbone_arguments(files, others)
        _check_size(files, arguments)
        if head is not None:
            backbone = {
                "class_name": BACKBONE,
                "registered_name": f"cspdarknet>{BACKBONE}",
                "config": arguments,
            }
            arguments = {**head, "backbone": backbone}
        model = _from_config(cls, arguments, files.origin, is_stored=not overrides)
        if files.weights is not None:
            _load(model, files, _keeps_head(cls, files, head), arguments.get("backbone"))
    has_weights = files.weights is not None
    return model if channels is None else with_channels(model, channels, has_weights)


@contextmanager
def _malformed_config_reported(origin: str) -> Iterator[None]:
    """Name the preset in errors other than those of the checks of arguments."""
    try:
        yield
    except (ValueError, ImportError):
        raise
    except Exception as error:
        reason = shortened(str(error), 500)
        raise CheckpointError(f"The config of {origin!r} is malformed: {reason}") from error


def _from_config(
    cls: type[Model], arguments: dict[str, Any], origin: str, is_stored: bool
) -> Model:
    """Build a model, and name the preset in the error if no argument of it is the user's own."""
    try:
        model: Model = cls.from_config(arguments)  # type: ignore[attr-defined]
    except ValueError as error:
        if not is_stored:
            raise
        raise CheckpointError(f"The config of {origin!r} is malformed: {error}") from error
    return model


def _check_size(files: PresetFiles, arguments: dict[str, Any]) -> None:
    """Check that a weight file holds about as much as its config says, before building that.

    The error of a small difference comes later, and names the weight.

    Raises:
        CheckpointError: if the model would be far larger than its weight file.
    """
    if files.weights is None:
        return
    try:
        described = config_size(arguments, files.config.head).parameters
        held = sum(math.prod(shape) for shape in files.weights.shapes.values())
        fits = described <= 2 * held + SPARE_PARAMETERS
    except (TypeError, ValueError, LookupError, AttributeError):  # malformed: the model says how
        return
    if not fits:
        raise CheckpointError(
            f"The config of {files.origin!r} describes a model of {min(described, MAX_SHOWN):,} "
            f"parameters, and its weight file holds {held:,}: it is a file of another architecture."
        )


def _split_overrides(
    cls: type[Any], overrides: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return those of the arguments that are a head's, and those that are its backbone's."""
    if task_of(cls) == "features":
        return {}, overrides
    names = {*inspect.signature(cls.__init__).parameters, "name", "trainable"}
    names -= {"self", "backbone", "kwargs"}
    own = {name: value for name, value in overrides.items() if name in names}
    shared = names - {"dtype"}
    return own, {name: value for name, value in overrides.items() if name not in shared}


# Arguments of the head.


def _head_arguments(cls: type[Any], files: PresetFiles, own: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a head: the preset's, overridden by its `own`."""
    stored = (files.config.head or {}) if files.task == task_of(cls) else {}
    # `None` is the default of the architecture's arguments, which the preset has settled.
    own = {
        name: value
        for name, value in own.items()
        if value is not None or name not in ("neck_depth", "head_channels", "levels")
    }
    head = {**_of_labels(stored, own), **own}
    outputs = "targets" if task_of(cls) == "regression" else "num_classes"
    if stored and outputs not in head:
        raise CheckpointError(
            f"The config of {files.origin!r} is malformed: its head has no `{outputs}`."
        )
    if outputs not in head:
        raise ValueError(
            f"{files.origin!r} is a model for {files.task}, without the head of a {cls.__name__}: "
            f"pass `{outputs}` to put a new, untrained head on its backbone."
        )
    keeps_head = _keeps_head(cls, files, head)
    if not keeps_head and outputs == "targets":
        head = {**head, **{name: own.get(name) for name in ("mean", "std")}}
    elif not keeps_head:
        head["class_names"] = own.get("class_names")  # the preset's are names of other classes
        if "score_threshold" not in own and isinstance(head.get("score_threshold"), list):
            del head["score_threshold"]  # thresholds of other classes
        for name in ("temperature", "crop"):
            if name not in own:
                head.pop(name, None)  # that of another head
    # A detector keeps its neck, and most of its head, for other classes too.
    fixed = ("neck_depth", "head_channels", *(("pooling",) if keeps_head else ()))
    for name in fixed if files.weights is not None else ():
        if name in own and name in stored and np.asarray(own[name]).tolist() != stored[name]:
            raise _meaningless(files, name, stored[name], own[name])
    return head


def _of_labels(stored: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a stored head without those of another kind of labels."""
    kind = stored.get("labels", SINGLE)
    if own.get("labels", kind) == kind:
        return stored
    return {name: value for name, value in stored.items() if name not in OF_LABELS}


def _keeps_head(cls: type[Any], files: PresetFiles, head: dict[str, Any] | None) -> bool:
    """Whether the model has the preset's task, and a head for the same classes if it has one."""
    stored = files.config.head
    if files.task != task_of(cls):
        return False
    if stored is None or head is None:
        return True
    if files.task == "regression":
        return isinstance(head["targets"], Iterable) and list(head["targets"]) == stored["targets"]
    if head["num_classes"] != stored.get("num_classes"):
        return False
    names, stored_names = head.get("class_names"), stored.get("class_names")
    if names is None or stored_names is None or "class_names" in files.config.assumed:
        return True
    return isinstance(names, Iterable) and list(names) == list(stored_names)


# Arguments of the backbone.


def _backbone_arguments(files: PresetFiles, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a backbone: the preset's, overridden by `overrides`."""
    if "stackwise_channels" not in {**files.config.backbone, **overrides}:
        raise CheckpointError(
            f"{files.origin} does not tell its architecture: pass stackwise_channels, "
            "stackwise_depth and include_rescaling, or put its config.json beside it."
        )
    if files.weights is not None:
        _check_overrides(files, overrides)
    return {**_fit_input(files, overrides), **overrides}


def _check_overrides(files: PresetFiles, overrides: dict[str, Any]) -> None:
    """Raise an error for arguments that would invalidate the weights of the preset."""
    assert files.weights is not None
    stored = {**DEFAULTS, **files.config.backbone} if files.config.backbone else {}
    free = FREE_ARGUMENTS | files.weights.adapts_to | files.config.assumed
    if len({"mean", "std"} & files.config.assumed & overrides.keys()) == 1:
        raise ValueError(
            f"{files.origin} states neither mean nor std: pass both, or none. Received: "
            f"mean={overrides.get('mean')!r}, std={overrides.get('std')!r}"
        )
    for name, value in overrides.items():
        if name in stored and name not in free and np.asarray(value).tolist() != stored[name]:
            raise _meaningless(files, name, stored[name], value)


def _meaningless(files: PresetFiles, name: str, stored: Any, value: Any) -> ValueError:
    return ValueError(
        f"The weights of {files.origin!r} belong to {name}={stored!r}, and are invalid "
        f"with {name}={value!r}: leave the argument out, or pass load_weights=False."
    )


def _fit_input(files: PresetFiles, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the preset's arguments of a backbone with an input shape that fits `overrides`."""
    config = dict(files.config.backbone)
    given = {name for name, value in overrides.items() if value is not None}
    if isinstance(config.get("input_tensor"), dict) and {"input_shape", "image_shape"} & given:
        raise ValueError(
            f"{files.origin!r} was saved with an `input_tensor`, which has a shape: pass another "
            "input_tensor instead of input_shape."
        )
    if {"input_tensor", "image_shape"} & given:
        config.pop("input_shape", None)  # the other arguments have the shape
    elif "data_format" in overrides and config.get("input_shape") is not None:
        stored = config.get("data_format", "channels_last")
        data_format = overrides["data_format"] or keras.config.image_data_format()
        shape = np.roll(config["input_shape"], -1 if stored == "channels_first" else 0)
        shape = np.roll(shape, 1 if data_format == "channels_first" else 0)
        config["input_shape"] = shape.tolist()
    return config


# Weights.


def _load(model: Any, files: PresetFiles, keeps_head: bool, backbone: Any) -> None:
    """Load the weights into a model, whose backbone has this config."""
    weights = files.weights
    assert weights is not None
    is_same_task = task_of(model) == files.task == "detection"
    classes = () if keeps_head or not is_same_task else class_layers(model.levels)
    if is_same_task and _stored_levels(files) != model.levels:
        _load_other_levels(model, files, classes, backbone)
    elif keeps_head or is_same_task:
        load_weights(model, weights, skip_layers=classes)
    elif files.task == "detection" and weights.numbers_layers:
        _load_of_detector(backbone_of(model), files)
    else:
        load_weights(backbone_of(model), weights)


def _load_of_detector(backbone: Any, files: PresetFiles) -> None:
    """Load a backbone from the weights of a detector, whose layers Keras numbers as a whole."""
    assert files.weights is not None
    source = backbone
    if backbone.output_stride is not None:  # a neck does not fit it
        config = {**backbone.get_config(), "output_stride": None}
        source = type(backbone).from_config(config)
    detector = _detector_network(source, files.config.head or {})
    load_targets(files.weights, files.weights.layout(detector))
    if source is not backbone:
        backbone.set_weights(source.get_weights())


def _stored_levels(files: PresetFiles) -> tuple[str, ...]:
    """Return the levels of a detector's weights."""
    pyramid = files.config.pyramid
    if pyramid is None:
        raise CheckpointError(f"The config of {files.origin!r} is malformed: check its `levels`.")
    return pyramid.levels


def _load_other_levels(
    model: Any, files: PresetFiles, skip_layers: Sequence[str], backbone: Any
) -> None:
    """Load what a detector has in common with one of other levels, and warn about the rest."""
    assert files.weights is not None
    assert files.config.head is not None
    arguments = {**files.config.head, "backbone": backbone}
    source: Any = _from_config(type(model), arguments, files.origin, is_stored=True)
    load_weights(source, files.weights)
    model.transfer = transfer(source, model, skip_layers)
    warn_of_new_layers(files.origin, source.levels, model.levels, model.transfer)


def _detector_network(backbone: Any, head: dict[str, Any]) -> keras.Model:
    """Return the network of a detector, whose layers Keras numbers as in the detector's file."""
    if len(channels_of_levels := backbone.architecture.pyramid_channels) < NUM_LEVELS:
        raise ValueError(
            f"The backbone of a detector must have {NUM_LEVELS} stages or more. Received: "
            f"stackwise_channels={backbone.stackwise_channels}"
        )
    num_classes = check_count("num_classes", head.get("num_classes"), most=MAX_CLASSES)
    depth, channels = head.get("neck_depth"), head.get("head_channels")
    if depth is not None:
        check_count("neck_depth", depth, least=0, most=MAX_DEPTH)
    if channels is not None:
        check_count("head_channels", channels, most=MAX_CHANNELS)
    levels = Pyramid.of(head.get("levels"), len(channels_of_levels)).levels
    outputs = yolox_outputs(
        backbone, num_classes, neck_depth=depth, head_channels=channels, levels=levels
    )
    return keras.Model(backbone.input, outputs)
