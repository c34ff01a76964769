"""Lists of the built-in presets: by name, and in the form of KerasCV."""

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

from cspdarknet._arguments import check_choice
from cspdarknet.presets.measured import costs
from cspdarknet.presets.records import PRESETS, TITLES, Preset


def list_presets(
    pattern: str = "*",
    *,
    task: str | None = None,
    bundled: bool | None = None,
    has_weights: bool | None = None,
) -> list[str]:
    """Return the names of the built-in presets.

    Args:
        pattern: a pattern of names with `*` and `?`, such as `"yolox_*"`.
        task: `"features"`, `"classification"` or `"detection"`; `None` for all.
        bundled: whether the weights are part of the package; `None` for all.
        has_weights: whether there are trained weights; `None` for all.

    Raises:
        ValueError: if `task` is another one.

    Example:
        >>> list_presets(bundled=True)
        ['csp_darknet_tiny_clothing', 'yolox_nano_bccd']
        >>> list_presets("*_l_*", task="detection")
        ['yolox_l_coco']
    """
    check_choice("task", task, (None, *TITLES))
    return [
        preset.name
        for preset in PRESETS.values()
        if fnmatch(preset.name, pattern)
        and task in (None, preset.task)
        and bundled in (None, preset.origin == "bundled")
        and has_weights in (None, preset.has_weights)
    ]


# Titles of the columns of `facts`.
FACTS = ("name", "task", "accuracy", "pixels", "params", "MB", "GFLOPs", "ms", "license", "weights")


def facts(preset: Preset) -> tuple[str, ...]:
    """Return a row of the table of the models, with the columns `FACTS`.

    The accuracy is the published one, at these pixels; FLOPs and milliseconds are those of
    `cspdarknet.presets.measured`.
    """
    cost = costs().get(preset.name)
    return (
        preset.name,
        preset.task,
        preset.metric or "-",
        "-" if cost is None else str(cost.pixels),
        f"{(preset.parameters + preset.head_parameters) / 1e6:.2f}M",
        f"{preset.megabytes:.1f}",
        "-" if cost is None else f"{cost.gflops:.1f}",
        "-" if cost is None else f"{cost.milliseconds:.0f}",
        preset.license if preset.has_weights else "-",
        preset.origin,
    )


class PresetDict(dict[str, dict[str, Any]]):
    """The dict of KerasCV's `presets` property, which prints one line for each preset."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        lines = (
            f"  {name:{width}}  {entry['task']}, backbone of "
            f"{entry['metadata']['params'] / 1e6:.2f}M parameters, "
            f"{'weights' if entry['has_weights'] else 'no weights'}"
            for name, entry in self.items()
        )
        return "\n".join(["Presets:", *lines]) if self else "{}"


def describe(presets: Mapping[str, Preset]) -> PresetDict:
    """Return the records in the form of KerasCV's `presets` property, as new objects."""
    return PresetDict(
        {
            name: {
                "metadata": {
                    "description": preset.description,
                    "params": preset.parameters,
                    "official_name": "CSPDarkNet",
                    "path": "csp_darknet",
                },
                "kaggle_handle": preset.kaggle_handle,
                "task": preset.task,
                "has_weights": preset.has_weights,
                "sources": [source.uri for source in preset.sources],
                "config": preset.config().backbone,
            }
            for name, preset in presets.items()
        }
    )
