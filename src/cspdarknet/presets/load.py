"""Build a backbone from a preset: config, then weights, checked against each other."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cspdarknet.checkpoints.load import load_weights as load_checkpoint
from cspdarknet.presets import sources

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


def build(
    cls: type[Model], preset: str | Path, load_weights: bool | None, overrides: dict[str, Any]
) -> Model:
    """Build a `cls` from the files of `preset`, with `overrides` in place of its arguments."""
    if load_weights not in (None, True, False):
        raise ValueError(
            f"`load_weights` must be None, True or False. Received: load_weights={load_weights!r}"
        )
    files = sources.find(preset, load_weights)
    if files.weights is not None:
        _check_overrides(files, overrides)
    config = dict(files.config)
    if overrides.get("input_tensor") is not None or overrides.get("image_shape") is not None:
        config.pop("input_shape", None)
    if "data_format" in overrides and overrides["data_format"] != config.get("data_format"):
        config = _reorder_shape(config, overrides["data_format"])
    if isinstance(config.get("input_tensor"), dict) and {"input_shape", "image_shape"} & {
        *overrides
    }:
        raise ValueError(
            f"{files.origin!r} was saved with an `input_tensor`, which has a shape: pass another "
            "input_tensor instead of input_shape."
        )
    try:
        model = cls.from_config({**config, **overrides})  # type: ignore[attr-defined]
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(f"The config of {files.origin!r} is malformed: {error}") from error
    if files.weights is not None:
        load_checkpoint(model, files.weights)
    return model


def _check_overrides(files: sources.PresetFiles, overrides: dict[str, Any]) -> None:
    defaults = {"use_depthwise": False, "padding": "same", "batch_norm_epsilon": 1e-3}
    for name, value in overrides.items():
        if name in FREE_ARGUMENTS | files.free or name not in {*defaults, *files.config}:
            continue
        stored = files.config.get(name, defaults.get(name))
        given = np.asarray(value).tolist()
        if given != stored:
            raise ValueError(
                f"The weights of {files.origin!r} belong to {name}={stored!r}, and mean nothing "
                f"with {name}={value!r}: leave the argument out, or pass load_weights=False."
            )


def _reorder_shape(config: dict[str, Any], data_format: str | None) -> dict[str, Any]:
    """Move the channels of the stored shape to where `data_format` wants them."""
    import keras

    stored = config.get("data_format", "channels_last")
    wanted = data_format or keras.config.image_data_format()
    shape = config.get("input_shape")
    if shape is None or stored == wanted:
        return config
    *size, channels = shape if stored == "channels_last" else (*shape[1:], shape[0])
    shape = [*size, channels] if wanted == "channels_last" else [channels, *size]
    return {**config, "input_shape": shape}
