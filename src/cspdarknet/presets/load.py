"""Build a model from a preset: config, then weights, checked against each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from cspdarknet.checkpoints.loading import load_weights as load_checkpoint
from cspdarknet.presets import sources
from cspdarknet.presets.config import WEIGHTS

Model = TypeVar("Model")

# Arguments that may differ from the preset's while its weights keep their meaning.
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
        "trainable",
    }
)
# Arguments of what stands on a backbone; every other is the backbone's, and `dtype` is for both.
HEAD_ARGUMENTS = frozenset(
    {
        "activation",
        "bounding_box_format",
        "class_names",
        "dropout",
        "dtype",
        "head_channels",
        "image_size",
        "iou_threshold",
        "max_detections",
        "name",
        "neck_depth",
        "num_classes",
        "pooling",
        "score_threshold",
        "trainable",
    }
)


def build_backbone(
    cls: type[Model], preset: str | Path, load_weights: bool | None, overrides: dict[str, Any]
) -> Model:
    """Build a backbone from the files of `preset`, with `overrides` in place of its arguments.

    Of a classifier's or detector's preset it is that one's backbone.
    """
    files = _find(preset, load_weights)
    model = _backbone(cls, files, overrides)
    if files.weights is not None:
        _load_backbone(model, files)
    return model


def _load_backbone(backbone: Any, files: sources.PresetFiles) -> None:
    """Load a backbone's part of the weights."""
    assert files.weights is not None
    if files.is_detector and files.weights.name == WEIGHTS:
        # Keras numbers the layers of the whole: only the whole can tell which are the backbone's.
        from cspdarknet.models.detector import YOLOXDetector

        head = {name: value for name, value in (files.head or {}).items() if name != "trainable"}
        load_checkpoint(YOLOXDetector(backbone, **head), files.weights)
    else:
        load_checkpoint(backbone, files.weights)


def build_classifier(
    cls: type[Model],
    backbone_cls: type[Any],
    preset: str | Path,
    load_weights: bool | None,
    overrides: dict[str, Any],
) -> Model:
    """Build a classifier from the files of `preset`; its head is new if it has other classes."""
    found = _find(preset, load_weights)
    files = replace(found, head=None) if found.is_detector else found
    own, others = split_arguments(overrides)
    with _malformed(files):
        head = _head(files, own)
    backbone = _backbone(backbone_cls, files, others)
    with _malformed(files):
        model = cls(backbone, **head)  # type: ignore[call-arg]
    if files.weights is not None and _keeps_head(files, head):
        load_checkpoint(model, files.weights)
    elif files.weights is not None:
        _load_backbone(backbone, found)
    return model


def build_detector(
    cls: type[Model],
    backbone_cls: type[Any],
    preset: str | Path,
    load_weights: bool | None,
    overrides: dict[str, Any],
) -> Model:
    """Build a detector from the files of `preset`.

    If it has other classes, what tells them apart is new; all else keeps its weights.
    """
    files = _find(preset, load_weights)
    if not files.is_detector:
        files = replace(files, head=None)
    own, others = split_arguments(overrides)
    with _malformed(files):
        head = _head(files, own)
    backbone = _backbone(backbone_cls, files, others)
    with _malformed(files):
        model = cls(backbone, **head)  # type: ignore[call-arg]
    if files.weights is None:
        return model
    if files.head is None:
        load_checkpoint(backbone, files.weights)
    elif _keeps_head(files, head):
        load_checkpoint(model, files.weights)
    else:
        whole: Any = cls(backbone, **files.head)  # type: ignore[call-arg]
        load_checkpoint(whole, files.weights)
        _copy_all_but_classes(whole, model)
    return model


def _copy_all_but_classes(source: Any, target: Any) -> None:
    """Copy neck and head, without the predictions of classes; the backbone is shared."""
    for layer in target.layers:
        if layer.name.startswith(("neck_", "head_")) and not layer.name.endswith("_classes"):
            layer.set_weights(source.get_layer(layer.name).get_weights())


def split_arguments(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return those of the arguments that are a classifier's, and those that are its backbone's."""
    own = {name: value for name, value in arguments.items() if name in HEAD_ARGUMENTS}
    shared = HEAD_ARGUMENTS - {"dtype"}
    return own, {name: value for name, value in arguments.items() if name not in shared}


def _find(preset: str | Path, load_weights: bool | None) -> sources.PresetFiles:
    if load_weights not in (None, True, False):
        raise ValueError(
            f"`load_weights` must be None, True or False. Received: load_weights={load_weights!r}"
        )
    return sources.find(preset, load_weights)


def _backbone(cls: type[Model], files: sources.PresetFiles, overrides: dict[str, Any]) -> Model:
    if files.weights is not None:
        _check_overrides(files, overrides)
    config = {**_fitted_config(files, overrides), **overrides}
    with _malformed(files):
        return cls.from_config(config)  # type: ignore[attr-defined,no-any-return]


@contextmanager
def _malformed(files: sources.PresetFiles) -> Iterator[None]:
    try:
        yield
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(f"The config of {files.origin!r} is malformed: {error}") from error


def _check_overrides(files: sources.PresetFiles, overrides: dict[str, Any]) -> None:
    defaults = {"use_depthwise": False, "padding": "same", "batch_norm_epsilon": 1e-3}
    for name, value in overrides.items():
        if name in FREE_ARGUMENTS | files.free or name not in {*defaults, *files.config}:
            continue
        stored = files.config.get(name, defaults.get(name))
        if np.asarray(value).tolist() != stored:
            raise _meaningless(files, name, stored, value)


def _meaningless(files: sources.PresetFiles, name: str, stored: Any, value: Any) -> ValueError:
    return ValueError(
        f"The weights of {files.origin!r} belong to {name}={stored!r}, and mean nothing "
        f"with {name}={value!r}: leave the argument out, or pass load_weights=False."
    )


def _fitted_config(files: sources.PresetFiles, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the preset's config, with its input shape made to fit `overrides`, or left out."""
    config = dict(files.config)
    if isinstance(config.get("input_tensor"), dict) and {"input_shape", "image_shape"} & {
        *overrides
    }:
        raise ValueError(
            f"{files.origin!r} was saved with an `input_tensor`, which has a shape: pass another "
            "input_tensor instead of input_shape."
        )
    if overrides.get("input_tensor") is not None or overrides.get("image_shape") is not None:
        config.pop("input_shape", None)
    elif "data_format" in overrides and config.get("input_shape") is not None:
        stored = config.get("data_format", "channels_last")
        wanted = overrides["data_format"] or keras.config.image_data_format()
        channels_last = np.roll(config["input_shape"], -1 if stored == "channels_first" else 0)
        shape = np.roll(channels_last, 1 if wanted == "channels_first" else 0)
        config["input_shape"] = shape.tolist()
    return config


def _head(files: sources.PresetFiles, own: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a head: the preset's, with its `own` in their place."""
    stored = files.head or {}
    head = {**stored, **own}
    if "num_classes" not in head:
        raise ValueError(
            f"The preset {files.origin!r} is a backbone without such a head: pass "
            "`num_classes` to put a new one on it."
        )
    keeps = _keeps_head(files, head)
    if not keeps:
        head["class_names"] = own.get("class_names")  # the preset's name other classes
    # A detector keeps its neck, and most of its head, for other classes too.
    fixed = ("neck_depth", "head_channels", *(("pooling",) if keeps else ()))
    for name in fixed if files.weights is not None else ():
        if name in own and name in stored and own[name] != stored[name]:
            raise _meaningless(files, name, stored[name], own[name])
    return head


def _keeps_head(files: sources.PresetFiles, head: dict[str, Any]) -> bool:
    """Whether the preset's head is for the same classes."""
    if files.head is None or head["num_classes"] != files.head.get("num_classes"):
        return False
    stored, wanted = files.head.get("class_names"), head.get("class_names")
    return stored is None or wanted is None or list(stored) == list(wanted)
