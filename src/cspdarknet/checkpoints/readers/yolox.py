"""Names and layouts of YOLOX's PyTorch weights: backbone, neck and head.

YOLOX feeds BGR images of 0..255. Its stem's kernel is re-ordered here so that the user feeds RGB,
and multiplied by 255 for a model that divides its input by 255 (`include_rescaling=True`).

Source: `yolox/models/darknet.py`, `yolo_pafpn.py`, `yolo_head.py`, `network_blocks.py` of
Megvii-BaseDetection/YOLOX (Apache-2.0).
"""

import re
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from cspdarknet.checkpoints import stem
from cspdarknet.checkpoints.architecture import (
    ConvUnit,
    conv_units,
    head_units,
    is_detector,
    neck_units,
    prediction_layers,
    unit_variables,
)
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.targets import Target, target
from cspdarknet.yolox.coco_names import COCO_NAMES

STEM = "stem.conv.conv.weight"
EPSILON = 1e-3
NORM = ("weight", "bias", "running_mean", "running_var")
COUNTER = ".num_batches_tracked"  # PyTorch's own bookkeeping, of no use elsewhere
BACKBONE = "backbone.backbone."  # what stands before the backbone's names in a detector
NECK = {
    "p5_lateral": "lateral_conv0",
    "p4_csp": "C3_p4",
    "p4_lateral": "reduce_conv1",
    "p3_csp": "C3_p3",
    "n3_down": "bu_conv2",
    "n4_csp": "C3_n3",
    "n4_down": "bu_conv1",
    "n5_csp": "C3_n4",
}
BRANCHES = {"class": "cls", "box": "reg"}
PREDICTIONS = {"classes": "cls_preds", "boxes": "reg_preds", "objectness": "obj_preds"}
HALVES = {"conv": "", "depthwise": ".dconv", "pointwise": ".pconv"}
LARGEST_SMALL = 24  # channels of the stem of the sizes that see 416 pixels, not 640


def prefix(names: Iterable[str]) -> str | None:
    """Return what stands before the backbone's names, or None if there is no backbone."""
    found = [name for name in names if name.endswith(STEM)]
    return found[0].removesuffix(STEM) if len(found) == 1 else None


def backbone_part(names: Iterable[str], before: str) -> list[str]:
    """Return the names that belong to the backbone; the rest is the detector's neck and head."""
    part = re.compile(re.escape(before) + r"(stem|dark\d+)\.")
    return [name for name in names if part.match(name) and not name.endswith(COUNTER)]


def detector_part(names: Iterable[str], before: str) -> list[str]:
    """Return the names of a detector's neck and head; none if the file has only a backbone."""
    if not before.endswith(BACKBONE):
        return []
    root = before.removesuffix(BACKBONE)
    others = (f"{root}backbone.", f"{root}head.")
    return [
        name
        for name in names
        if name.startswith(others) and not name.startswith(before) and not name.endswith(COUNTER)
    ]


def unit_name(unit: ConvUnit, last_stage: int) -> str:
    """Return YOLOX's name of a convolution with its batch-norm."""
    half = HALVES[unit.kind]
    if unit.part == "stem":
        return "stem.conv"
    dark = f"dark{unit.stage + 2}"
    if unit.part == "stage":
        return f"{dark}.0{half}"
    if unit.part == "spp":
        return f"{dark}.1.{unit.place}"
    csp = f"{dark}.{2 if unit.stage == last_stage else 1}"
    return f"{csp}.{_csp_place(unit.place)}{half}"


def _csp_place(place: str) -> str:
    """Return YOLOX's name of a place in a CSP stage."""
    if not place.startswith("bottleneck"):
        return place
    number, conv = map(int, re.findall(r"\d+", place))
    return f"m.{number - 1}.conv{conv}"


def neck_or_head_name(unit: ConvUnit) -> str:
    """Return YOLOX's name of a convolution of the neck or the head."""
    half = HALVES[unit.kind]
    if unit.part == "neck":
        path, place = re.fullmatch(r"([pn]\d_[a-z]+)_?(.*)", unit.place).groups()  # type: ignore[union-attr]
        return f"backbone.{NECK[path]}{'.' if place else ''}{_csp_place(place)}{half}"
    if unit.place == "stem":
        return f"head.stems.{unit.stage}"
    branch, number = re.fullmatch(r"(\w+)_conv(\d)", unit.place).groups()  # type: ignore[union-attr]
    return f"head.{BRANCHES[branch]}_convs.{unit.stage}.{int(number) - 1}{half}"


def layout(model: Any, before: str = "") -> dict[str, Target]:
    """Return the target of each name in a state dict, of a backbone or of a detector."""
    backbone = model.backbone if is_detector(model) else model
    last = len(backbone.stackwise_depth) - 1
    targets: dict[str, Target] = {}
    for unit in conv_units(backbone):
        targets |= _unit_targets(model, unit, before + unit_name(unit, last))
    if not is_detector(model):
        return targets
    root = before.removesuffix(BACKBONE)
    for unit in (*neck_units(_plan(model)), *head_units(_plan(model))):
        targets |= _unit_targets(model, unit, root + neck_or_head_name(unit))
    for level, kind, layer in prediction_layers(model):
        name = root + prediction_name(level, kind)
        prediction = model.get_layer(layer)
        targets[f"{name}.weight"] = _transposed(prediction.kernel)
        targets[f"{name}.bias"] = target(prediction.bias)
    return targets


def prediction_name(level: int, kind: str) -> str:
    """Return YOLOX's name of a convolution of the head that predicts."""
    return f"head.{PREDICTIONS[kind]}.{level}"


def _plan(model: Any) -> Any:
    """Return what the order of a detector's convolutions depends on."""
    return SimpleNamespace(
        levels=model.levels,
        neck_depth=model.neck_depth,
        use_depthwise=model.backbone.use_depthwise,
    )


def _unit_targets(model: Any, unit: ConvUnit, name: str) -> dict[str, Target]:
    kernel, norm = unit_variables(model, unit)
    rescaled = unit.part == "stem" and getattr(model, "backbone", model).include_rescaling
    targets = {f"{name}.conv.weight": _kernel(kernel, unit, rescaled)}
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
    if unit.kind == "depthwise":
        height, width, before, after = kernel.shape
        return Target(
            kernel,
            (before, after, height, width),
            lambda array: array.transpose(2, 3, 0, 1),
            lambda array: array.transpose(2, 3, 0, 1),
        )
    return _transposed(kernel)


def _transposed(kernel: Any) -> Target:
    height, width, before, after = kernel.shape
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
    while shape := _kernel_shape(file, shapes, f"{before}dark{len(channels) + 2}.0.{conv}"):
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
        "input_shape": (None, None, (_kernel_shape(file, shapes, before + STEM) or (0, 0))[1] // 4),
        **CONVENTIONS,
    }


def _kernel_shape(
    file: str, shapes: Mapping[str, tuple[int, ...]], name: str
) -> tuple[int, ...] | None:
    """Return the shape of a kernel, if the file has it."""
    shape = shapes.get(name)
    if shape is not None and len(shape) != 4:
        raise CheckpointError(f"{file} is damaged: {name!r} has the shape {shape}.")
    return shape


def head_config(
    file: str, shapes: Mapping[str, tuple[int, ...]], before: str
) -> dict[str, Any] | None:
    """Read neck and head off the names and shapes of a state dict; None if it has none."""
    root = before.removesuffix(BACKBONE)
    classes = _kernel_shape(file, shapes, f"{root}head.cls_preds.0.weight")
    branch = _kernel_shape(file, shapes, f"{root}head.stems.0.conv.weight")
    first = _kernel_shape(file, shapes, before + STEM)
    if not before.endswith(BACKBONE) or classes is None or branch is None or first is None:
        return None
    block = re.compile(rf"{re.escape(root)}backbone\.C3_p4\.m\.(\d+)\.")
    return {
        "num_classes": classes[0],
        "bounding_box_format": "xyxy",
        "class_names": list(COCO_NAMES) if classes[0] == len(COCO_NAMES) else None,
        "neck_depth": len({match[1] for name in shapes if (match := block.match(name))}),
        "head_channels": branch[0],
        "image_size": 416 if first[0] <= LARGEST_SMALL else 640,
    }


# What YOLOX's weights mean besides their shapes.
CONVENTIONS = {
    "include_rescaling": False,
    "padding": "symmetric",
    "batch_norm_epsilon": EPSILON,
    "batch_norm_momentum": 0.97,
}
