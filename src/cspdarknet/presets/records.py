"""The built-in presets, as data."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cspdarknet.sizes import SIZES


@dataclass(frozen=True)
class Preset:
    """One named model.

    Attributes:
        name: what the user types.
        size: key of `cspdarknet.sizes.SIZES`.
        has_weights: whether trained weights exist.
        kaggle_handle: where KerasCV published it.
        trained_on: what the weights were trained on and what they reach, if any.
    """

    name: str
    size: str
    has_weights: bool
    kaggle_handle: str
    trained_on: str = ""

    @property
    def parameters(self) -> int:
        """Number of parameters, moving averages included."""
        return SIZES[self.size].parameters

    @property
    def description(self) -> str:
        """One sentence for tables."""
        size = SIZES[self.size]
        text = (
            f"CSPDarkNet with {list(size.stackwise_channels)} channels and "
            f"{list(size.stackwise_depth)} bottlenecks per stage."
        )
        return f"{text} {self.trained_on}".strip()

    def config(self) -> dict[str, Any]:
        """Constructor arguments of the backbone."""
        size = SIZES[self.size]
        return {
            "stackwise_channels": list(size.stackwise_channels),
            "stackwise_depth": list(size.stackwise_depth),
            "include_rescaling": True,
            "use_depthwise": False,
        }


def _handle(name: str) -> str:
    return f"kaggle://keras/cspdarknet/keras/{name}/2"


def _record(size: str, trained_on: str = "", suffix: str = "") -> Preset:
    name = f"csp_darknet_{size}{suffix}"
    return Preset(name, size, bool(trained_on), _handle(name), trained_on)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _record("tiny"),
        _record("s"),
        _record("m"),
        _record("l"),
        _record("xl"),
        _record("tiny", "Trained on ImageNet 2012 (61.69 % top-1 with its head).", "_imagenet"),
        _record("l", "Trained on ImageNet 2012 (77.44 % top-1 with its head).", "_imagenet"),
    )
}


def describe(presets: Mapping[str, Preset]) -> dict[str, dict[str, Any]]:
    """Return the records in the form of KerasCV's `presets` property (a copy, free to change)."""
    return {
        name: copy.deepcopy(
            {
                "metadata": {
                    "description": preset.description,
                    "params": preset.parameters,
                    "official_name": "CSPDarkNet",
                    "path": "csp_darknet",
                },
                "kaggle_handle": preset.kaggle_handle,
                "has_weights": preset.has_weights,
                "config": preset.config(),
            }
        )
        for name, preset in presets.items()
    }
