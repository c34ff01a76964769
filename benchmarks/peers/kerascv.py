"""KerasCV's backbone. It is built by the interpreter of KerasCV's own virtual environment."""

import importlib
from typing import Any

Architecture = dict[str, list[int]]


def architecture(model_size: str) -> Architecture:
    """Return the constructor arguments of a model size, to be passed to a worker."""
    from cspdarknet.presets.sizes import SIZES

    size = SIZES[model_size]
    return {
        "stackwise_channels": list(size.stackwise_channels),
        "stackwise_depth": list(size.stackwise_depth),
    }


def build_backbone(architecture: Architecture, library: str = "keras_cv") -> Any:
    """Build the `CSPDarkNetBackbone` of `keras_cv`, or of `cspdarknet`, which has the same API."""
    models = importlib.import_module(f"{library}.models")
    return models.CSPDarkNetBackbone(**architecture, include_rescaling=True)
