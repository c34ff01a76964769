"""Names and layouts of YOLOX's PyTorch weights, backbone part.

YOLOX feeds BGR images of 0..255. Its stem's kernel is re-ordered here so that the user feeds RGB,
and multiplied by 255 for a model that divides its input by 255 (`include_rescaling=True`).

Source: `yolox/models/darknet.py`, `network_blocks.py` of Megvii-BaseDetection/YOLOX (Apache-2.0).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cspdarknet.checkpoints import stem
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.structure import ConvUnit, conv_units, unit_variables
from cspdarknet.checkpoints.targets import Target, target

STEM = "stem.conv.conv.weight"
EPSILON = 1e-3
NORM = ("weight", "bias", "running_mean", "running_var")
COUNTER = ".num_batches_tracked"  # PyTorch's own bookkeeping, of no use elsewhere


def prefix(names: Iterable[str]) -> str | None:
    """Return what stands before the backbone's names, or None if there is no backbone."""
    found = [name for name in names if name.endswith(STEM)]
    return found[0].removesuffix(STEM) if len(found) == 1 else None


def backbone_part(names: Iterable[str], before: str) -> list[str]:
    """Return the names that belong to the backbone; the rest is the detector's neck and head."""
    part = re.compile(re.escape(before) + r"(stem|dark\d+)\.")
    return [name for name in names if part.match(name) and not name.endswith(COUNTER)]


def unit_name(unit: ConvUnit, last_stage: int) -> str:
    """Return YOLOX's name of a convolution with its batch-norm."""
    half = {"conv": "", "depthwise": ".dconv", "pointwise": ".pconv"}[unit.kind]
    if unit.part == "stem":
        return "stem.conv"
    dark = f"dark{unit.stage + 2}"
    if unit.part == "stage":
        return f"{dark}.0{half}"
    if unit.part == "spp":
        return f"{dark}.1.{unit.place}"
    csp = f"{dark}.{2 if unit.stage == last_stage else 1}"
    if unit.place.startswith("bottleneck"):
        number, conv = map(int, re.findall(r"\d+", unit.place))
        return f"{csp}.m.{number - 1}.conv{conv}{half}"
    return f"{csp}.{unit.place}"


def layout(model: Any, before: str = "") -> dict[str, Target]:
    """Return the target of each name in a state dict."""
    targets = {}
    last = len(model.stackwise_depth) - 1
    for unit in conv_units(model):
        name = before + unit_name(unit, last)
        kernel, norm = unit_variables(model, unit)
        targets[f"{name}.conv.weight"] = _kernel(kernel, unit, model.include_rescaling)
        for part, variable in zip(NORM, norm, strict=True):
            targets[f"{name}.bn.{part}"] = target(variable)
    return targets


def _kernel(kernel: Any, unit: ConvUnit, rescaled: bool) -> Target:
    if unit.part == "stem":
        height, width, channels, filters = stem.folded_shape(tuple(kernel.shape))
        scale = 255.0 if rescaled else 1.0
        return Target(
            kernel,
            (filters, channels, height, width),
            lambda array: stem.unfold(array.transpose(2, 3, 1, 0))[:, :, ::-1] * np.float32(scale),
            lambda array: stem.fold(array[:, :, ::-1] / np.float32(scale)).transpose(3, 2, 0, 1),
        )
    height, width, before, after = kernel.shape
    if unit.kind == "depthwise":
        return Target(
            kernel,
            (before, after, height, width),
            lambda array: array.transpose(2, 3, 0, 1),
            lambda array: array.transpose(2, 3, 0, 1),
        )
    return Target(
        kernel,
        (after, before, height, width),
        lambda array: array.transpose(2, 3, 1, 0),
        lambda array: array.transpose(3, 2, 0, 1),
    )


def config(file: str, shapes: Mapping[str, tuple[int, ...]], before: str) -> dict[str, Any]:
    """Read the architecture off the names and shapes of a state dict."""
    channels: list[int] = []
    depth: list[int] = []
    use_depthwise = f"{before}dark2.0.dconv.conv.weight" in shapes
    conv = "pconv.conv.weight" if use_depthwise else "conv.weight"
    while shape := shapes.get(f"{before}dark{len(channels) + 2}.0.{conv}"):
        block = re.compile(rf"{re.escape(before)}dark{len(channels) + 2}\.[12]\.m\.(\d+)\.")
        numbers = {int(match[1]) for name in shapes if (match := block.match(name))}
        channels.append(shape[0])
        depth.append(len(numbers))
    if not channels:
        raise CheckpointError(f"{file} holds no CSPDarkNet: dark2 is missing.")
    return {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "use_depthwise": use_depthwise,
        "input_shape": (None, None, shapes[before + STEM][1] // 4),
        **CONVENTIONS,
    }


# What YOLOX's weights mean besides their shapes.
CONVENTIONS = {
    "include_rescaling": False,
    "padding": "symmetric",
    "batch_norm_epsilon": EPSILON,
    "batch_norm_momentum": 0.97,
}
