"""`transfer`: the weights of a detector for a detector of other levels, layer by layer."""

import re
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from cspdarknet.checkpoints.architecture import prediction_layers

# What the layers of a detector are grouped by: stages, blocks of the neck, levels of the head.
GROUP = re.compile(r"stem|dark\d+|neck_[pn]\d+_[a-z]+|head_p\d+_classes|head_p\d+")


class LevelsWarning(UserWarning):
    """A detector has weights of other pyramid levels, and parts that are not trained."""


@dataclass(frozen=True)
class Transfer:
    """Which variables of a model come from another one; `str()` sums them up by blocks.

    Attributes:
        loaded: paths of the variables that were loaded, such as `"dark2_conv_conv/kernel"`.
        new: paths of the variables that the other model lacks, or has for other classes.
        left_out: paths of the variables of the other model that were not used.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        parts = {
            "loaded": self.loaded,
            "new and untrained": self.new,
            "left out": self.left_out,
        }
        return "; ".join(
            f"{len(paths)} variables are {what} ({', '.join(_groups(paths))})"
            for what, paths in parts.items()
            if paths
        )


def transfer(source: Any, model: Any, skip_layers: Collection[str] = ()) -> Transfer:
    """Copy the weights of each layer that two detectors have in common.

    Args:
        source: a `YOLOXDetector`.
        model: a `YOLOXDetector` on the same backbone, of other levels.
        skip_layers: names of layers that keep their weights.

    Returns:
        What was copied.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32, 64, 128], [1, 1, 1, 1], True)
        >>> source = YOLOXDetector(backbone, 3, levels=["P3", "P4", "P5"])
        >>> model = YOLOXDetector(backbone, 3, levels=["P4", "P5"])
        >>> copied = transfer(source, model)
        >>> len(copied.new), copied.left_out[0]
        (0, 'neck_p4_lateral_conv/kernel')
    """
    stored = {layer.name: layer for layer in source.layers if layer.weights}
    loaded, new = [], []
    for layer in model.layers:
        found = stored.get(layer.name)
        shapes = [variable.shape for variable in layer.weights]
        if (
            found is None
            or layer.name in skip_layers
            or [variable.shape for variable in found.weights] != shapes
        ):
            new += _paths([layer])
            continue
        for variable, value in zip(layer.weights, found.weights, strict=True):
            variable.assign(value)
        loaded += _paths([stored.pop(layer.name)])
    return Transfer(tuple(loaded), tuple(new), tuple(_paths(stored.values())))


def class_layers(levels: Iterable[str]) -> list[str]:
    """Return the names of the layers that predict the classes."""
    return [layer for _, output, layer in prediction_layers(tuple(levels)) if output == "classes"]


def warn_of_new_layers(
    origin: str, stored: Iterable[str], levels: Iterable[str], copied: Transfer
) -> None:
    """Warn that a model has untrained parts, and say which.

    Args:
        origin: where the weights come from.
        stored: the levels of the weights.
        levels: the levels of the model.
        copied: what was copied.
    """
    warnings.warn(
        f"The weights of {origin!r} are for the levels {', '.join(stored)}, and the model has "
        f"{', '.join(levels)}: train it before you use it. {copied}.",
        LevelsWarning,
        stacklevel=2,
    )


def _paths(layers: Iterable[Any]) -> list[str]:
    return [variable.path for layer in layers for variable in layer.weights]


def _groups(paths: Iterable[str]) -> list[str]:
    """Return the blocks of variables, in order."""
    matches = {path: GROUP.search(path) for path in paths}
    return list(dict.fromkeys(m[0] if m else path for path, m in matches.items()))
