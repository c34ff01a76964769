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
        kaggle_handle: where KerasCV published it.
        dataset: what the trained weights, if any, were trained on.
        accuracy: what they reach, as published.
    """

    name: str
    size: str
    kaggle_handle: str
    dataset: str = ""
    accuracy: str = ""

    @property
    def has_weights(self) -> bool:
        """Whether trained weights exist."""
        return bool(self.dataset)

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
        return f"{text} Trained on {self.dataset}: {self.accuracy}." if self.dataset else text

    def config(self) -> dict[str, Any]:
        """Constructor arguments of the backbone."""
        size = SIZES[self.size]
        return {
            "stackwise_channels": list(size.stackwise_channels),
            "stackwise_depth": list(size.stackwise_depth),
            "include_rescaling": True,
            "use_depthwise": False,
        }


def _record(size: str, suffix: str = "", dataset: str = "", accuracy: str = "") -> Preset:
    name = f"csp_darknet_{size}{suffix}"
    return Preset(name, size, f"kaggle://keras/cspdarknet/keras/{name}/2", dataset, accuracy)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _record("tiny"),
        _record("s"),
        _record("m"),
        _record("l"),
        _record("xl"),
        _record("tiny", "_imagenet", "ImageNet", "61.69 % top-1 with its classifier head"),
        _record("l", "_imagenet", "ImageNet", "77.44 % top-1 with its classifier head"),
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
