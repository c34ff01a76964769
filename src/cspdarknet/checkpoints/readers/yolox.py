"""Names and layouts of YOLOX's PyTorch weights: backbone, neck and head.

YOLOX takes BGR images of 0..255. The channels of its stem's kernel are reordered here so that the
model takes RGB, and the kernel is multiplied by 255 for a model that divides its input by 255
(`include_rescaling=True`). A model that normalizes its images (`mean`, `std`) has the kernel of the
file, since those of YOLOX that take normalized images take RGB.

Source: `yolox/models/darknet.py`, `yolo_pafpn.py`, `yolo_head.py`, `network_blocks.py` of
Megvii-BaseDetection/YOLOX (Apache-2.0).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cspdarknet.checkpoints import stem
from cspdarknet.checkpoints.architecture import (
    ConvUnit,
    backbone_of,
    conv_units,
    head_units,
    neck_units,
    prediction_layers,
    task_of,
    unit_variables,
)
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.targets import Target, target
from cspdarknet.yolox.coco_names import COCO_NAMES
from cspdarknet.yolox.levels import Pyramid

STEM = "stem.conv.conv.weight"
EPSILON = 1e-3
# Backbone arguments of YOLOX's models.
CONVENTIONS = {
    "include_rescaling": False,
    "padding": "symmetric",
    "batch_norm_epsilon": EPSILON,
    "batch_norm_momentum": 0.97,
}
NORM = ("weight", "bias", "running_mean", "running_var")
COUNTER = ".num_batches_tracked"  # PyTorch's own bookkeeping, which no other format has
BACKBONE = "backbone.backbone."  # prefix of the backbone's names in a detector
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
CONV_TYPES = {"conv": "", "depthwise": ".dconv", "pointwise": ".pconv"}
LARGEST_SMALL_STEM = 24  # channels of the stem in the sizes that take 416 pixels, not 640

Shapes = Mapping[str, tuple[int, ...]]


def backbone_names(names: Iterable[str], prefix: str) -> list[str]:
    """Return the names that belong to the backbone with this prefix."""
    pattern = re.compile(re.escape(prefix) + r"(stem|dark\d+)\.")
    return [name for name in names if pattern.match(name) and not name.endswith(COUNTER)]


def detector_names(names: Iterable[str], prefix: str) -> list[str]:
    """Return the names of a detector's neck and head; none if the file has only a backbone."""
    if not prefix.endswith(BACKBONE):
        return []
    root = prefix.removesuffix(BACKBONE)
    detector = (f"{root}backbone.", f"{root}head.")
    return [
        name
        for name in names
        if name.startswith(detector) and not name.startswith(prefix) and not name.endswith(COUNTER)
    ]


def unit_name(unit: ConvUnit, last_stage: int) -> str:
    """Return YOLOX's name of a convolution of the backbone with its batch normalization."""
    suffix = CONV_TYPES[unit.conv_type]
    if unit.block == "stem":
        return "stem.conv"
    dark = f"dark{unit.index + 2}"
    if unit.block == "stage":
        return f"{dark}.0{suffix}"
    if unit.block == "spp":
        return f"{dark}.1.{unit.position}"
    csp = f"{dark}.{2 if unit.index == last_stage else 1}"
    return f"{csp}.{_csp_position(unit.position)}{suffix}"


def _csp_position(position: str) -> str:
    """Return YOLOX's name of a position in a CSP stage."""
    if not position.startswith("bottleneck"):
        return position
    number, conv = map(int, re.findall(r"\d+", position))
    return f"m.{number - 1}.conv{conv}"


def neck_or_head_name(unit: ConvUnit) -> str:
    """Return YOLOX's name of a convolution of the neck or the head."""
    suffix = CONV_TYPES[unit.conv_type]
    if unit.block == "neck":
        block, position = re.fullmatch(r"([pn]\d_[a-z]+)_?(.*)", unit.position).groups()  # type: ignore[union-attr]
        dot = "." if position else ""
        return f"backbone.{NECK[block]}{dot}{_csp_position(position)}{suffix}"
    if unit.position == "stem":
        return f"head.stems.{unit.index}"
    branch, number = re.fullmatch(r"(\w+)_conv(\d)", unit.position).groups()  # type: ignore[union-attr]
    return f"head.{BRANCHES[branch]}_convs.{unit.index}.{int(number) - 1}{suffix}"


def prediction_name(level: int, output: str) -> str:
    """Return YOLOX's name of a prediction layer of the head."""
    return f"head.{PREDICTIONS[output]}.{level}"


def layout(model: Any, prefix: str = "", *, is_rgb: bool = False) -> dict[str, Target]:
    """Return the target of each name in a state dict, of a backbone or of a detector.

    Args:
        model: the backbone or detector.
        prefix: prefix of the backbone's names.
        is_rgb: whether the weights are those of RGB images, not of BGR images. Those of a model
            that normalizes its images always are.
    """
    backbone = backbone_of(model)
    last = len(backbone.stackwise_depth) - 1
    targets: dict[str, Target] = {}
    for unit in conv_units(backbone):
        targets |= _unit_targets(model, unit, prefix + unit_name(unit, last))
        if unit.block == "stem":
            targets[prefix + STEM] = _stem(
                model.get_layer("stem_conv_conv").kernel, backbone, is_rgb
            )
    if task_of(model) != "detection":
        return targets
    _check_levels(model, backbone)
    root = prefix.removesuffix(BACKBONE)
    depthwise = backbone.use_depthwise
    for unit in (*neck_units(model.neck_depth, depthwise), *head_units(model.levels, depthwise)):
        targets |= _unit_targets(model, unit, root + neck_or_head_name(unit))
    for level, output, layer in prediction_layers(model.levels):
        name = root + prediction_name(level, output)
        prediction = model.get_layer(layer)
        targets[f"{name}.weight"] = _transposed(prediction.kernel)
        targets[f"{name}.bias"] = target(prediction.bias)
    return targets


def _check_levels(model: Any, backbone: Any) -> None:
    """Refuse a detector that YOLOX does not have."""
    pyramid = Pyramid(tuple(model.levels), len(backbone.architecture.pyramid_channels))
    if not pyramid.is_yolox:
        raise CheckpointError(
            "A file of YOLOX holds a detector of the deepest three levels, "
            f"{', '.join(pyramid.of(None, pyramid.num_stages).levels)}. Received: a model of the "
            f"levels {', '.join(model.levels)}: save it as .safetensors, .keras or a preset "
            "folder; `load_model(file, levels=...)` loads what fits."
        )


def _unit_targets(model: Any, unit: ConvUnit, name: str) -> dict[str, Target]:
    kernel, norm = unit_variables(model, unit)
    convert = _depthwise if unit.conv_type == "depthwise" else _transposed
    targets = {f"{name}.conv.weight": convert(kernel)}
    for weight, variable in zip(NORM, norm, strict=True):
        targets[f"{name}.bn.{weight}"] = target(variable)
    return targets


def _stem(kernel: Any, backbone: Any, is_rgb: bool) -> Target:
    normalizes = backbone.mean is not None
    order = 1 if is_rgb or normalizes else -1
    scale = np.float32(255.0 if backbone.include_rescaling and not normalizes else 1.0)
    height, width, channels, filters = stem.folded_shape(tuple(kernel.shape))
    return Target(
        kernel,
        (filters, channels, height, width),
        lambda array: stem.unfold(array.transpose(2, 3, 1, 0))[:, :, ::order] * scale,
        lambda array: stem.fold(array[:, :, ::order] / scale).transpose(3, 2, 0, 1),
    )


def _depthwise(kernel: Any) -> Target:
    height, width, channels, multiplier = kernel.shape
    return Target(
        kernel,
        (channels, multiplier, height, width),
        lambda array: array.transpose(2, 3, 0, 1),
        lambda array: array.transpose(2, 3, 0, 1),
    )


def _transposed(kernel: Any) -> Target:
    height, width, channels, filters = kernel.shape
    return Target(
        kernel,
        (filters, channels, height, width),
        lambda array: array.transpose(2, 3, 1, 0),
        lambda array: array.transpose(3, 2, 0, 1),
    )


def config(file: str, shapes: Shapes, prefix: str) -> ModelConfig:
    """Read the constructor arguments off the names and shapes of a state dict.

    Raises:
        CheckpointError: if these are not the weights of a CSPDarkNet.
    """
    channels: list[int] = []
    depth: list[int] = []
    use_depthwise = f"{prefix}dark2.0.dconv.conv.weight" in shapes
    conv = "pconv.conv.weight" if use_depthwise else "conv.weight"
    while shape := _kernel_shape(file, shapes, f"{prefix}dark{len(channels) + 2}.0.{conv}"):
        depth.append(
            _bottlenecks(shapes, rf"{re.escape(prefix)}dark{len(channels) + 2}\.[12]\.m\.(\d+)\.")
        )
        channels.append(shape[0])
    if not channels:
        raise CheckpointError(f"{file} does not hold a CSPDarkNet: dark2 is missing.")
    slices = (_kernel_shape(file, shapes, prefix + STEM) or (0, 0))[1]
    backbone = {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "use_depthwise": use_depthwise,
        "input_shape": (None, None, slices // 4),
        **CONVENTIONS,
    }
    return ModelConfig(backbone, _head_config(file, shapes, prefix))


def _bottlenecks(shapes: Shapes, pattern: str) -> int:
    """Count the different numbers that a pattern captures in the names."""
    bottleneck = re.compile(pattern)
    return len({match[1] for name in shapes if (match := bottleneck.match(name))})


def _kernel_shape(file: str, shapes: Shapes, name: str) -> tuple[int, ...] | None:
    """Return the shape of a kernel, if the file has it."""
    shape = shapes.get(name)
    if shape is not None and len(shape) != 4:
        raise CheckpointError(f"{file} is damaged: {name!r} has the shape {shape}.")
    return shape


def _head_config(file: str, shapes: Shapes, prefix: str) -> dict[str, Any] | None:
    """Return the arguments of the detector; `None` for a backbone alone."""
    root = prefix.removesuffix(BACKBONE)
    classes = _kernel_shape(file, shapes, f"{root}head.cls_preds.0.weight")
    branch = _kernel_shape(file, shapes, f"{root}head.stems.0.conv.weight")
    first = _kernel_shape(file, shapes, prefix + STEM)
    if not prefix.endswith(BACKBONE) or classes is None or branch is None or first is None:
        return None
    return {
        "num_classes": classes[0],
        "bounding_box_format": "xyxy",
        "class_names": list(COCO_NAMES) if classes[0] == len(COCO_NAMES) else None,
        "neck_depth": _bottlenecks(shapes, rf"{re.escape(root)}backbone\.C3_p4\.m\.(\d+)\."),
        "head_channels": branch[0],
        "image_size": 416 if first[0] <= LARGEST_SMALL_STEM else 640,
    }
