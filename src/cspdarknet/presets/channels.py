"""Copies of a model for images of another number of channels."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cspdarknet._arguments import MAX_CHANNELS, check_count
from cspdarknet.checkpoints.architecture import backbone_of
from cspdarknet.checkpoints.stem import for_channels
from cspdarknet.presets.sources import locate

Model = TypeVar("Model")
RGB = 3


def with_channels(model: Model, channels: Any, has_weights: bool = True) -> Model:
    """Return a model for images of a number of channels: a copy, or the model itself.

    The kernel of the first convolution is that of `checkpoints.stem.for_channels`; all other
    weights are the same. A mean and a standard deviation of the pixels are repeated for further
    channels, and averaged for gray images.

    Args:
        model: a backbone, classifier or detector of this package.
        channels: the number of channels.
        has_weights: whether to copy the weights; without, they are new.

    Raises:
        ValueError: if the number is out of range, or the model is not for RGB images.
    """
    channels = check_count("channels", channels, most=MAX_CHANNELS)
    backbone = backbone_of(model)
    axis = 0 if backbone.data_format == "channels_first" else -1
    own = backbone.image_shape[axis]
    if channels == own:
        return model
    if own != RGB:
        raise ValueError(
            f"`channels` must be that of the model: only a model for RGB images is converted to "
            f"another number. Received: channels={channels}, and a model of {own} channels: leave "
            "the argument out, or start from another model."
        )
    if backbone.input_tensor is not None:
        raise ValueError(
            "`channels` must be left out for a model with an `input_tensor`, which has channels. "
            f"Received: channels={channels}"
        )
    copy: Any = type(model).from_config(_config(model, channels, axis))  # type: ignore[attr-defined]
    if has_weights:
        _copy_weights(model, copy, channels)
    if hasattr(model, "transfer"):
        copy.transfer = model.transfer
    return copy  # type: ignore[no-any-return]


def stored_channels(source: str | Path) -> int:
    """Return the number of channels of a model, by its config; 3 where that does not state it.

    Args:
        source: anything that `load_model` takes.
    """
    config = locate(source).config
    backbone = {} if config is None else config.backbone
    shape = backbone.get("input_shape") or (None, None, RGB)
    axis = 0 if backbone.get("data_format") == "channels_first" else -1
    return int(shape[axis] or RGB)


def _config(model: Any, channels: int, axis: int) -> dict[str, Any]:
    """Return the config of a model with another number of channels."""
    config: dict[str, Any] = model.get_config()
    backbone = config["backbone"]["config"] if "backbone" in config else config
    shape = list(backbone["input_shape"])
    shape[axis] = channels
    backbone["input_shape"] = shape
    for name in ("mean", "std"):
        if backbone[name] is not None:
            values = np.mean(backbone[name], keepdims=True) if channels == 1 else backbone[name]
            backbone[name] = np.resize(values, channels).tolist()
    return config


def _copy_weights(model: Any, copy: Any, channels: int) -> None:
    arrays = [np.asarray(array) for array in model.get_weights()]
    adapted = [
        array if array.shape == tuple(variable.shape) else for_channels(array, channels)
        for array, variable in zip(arrays, copy.weights, strict=True)
    ]
    copy.set_weights(adapted)
