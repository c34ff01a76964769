"""Where each variable of a model stands in a `.weights.h5` file, by the program that wrote it."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from cspdarknet.checkpoints import stem
from cspdarknet.checkpoints.architecture import ConvUnit, conv_units, unit_variables
from cspdarknet.checkpoints.targets import Target, target

# Where a classifier's file has its backbone, and the kernel and bias of its head.
NESTED = "layers/csp_dark_net_backbone/"
HEAD = ("layers/dense/vars/0", "layers/dense/vars/1")
HEAD_VARIABLES = ("predictions/kernel", "predictions/bias")


def head_variables(paths: Collection[str]) -> tuple[str, ...]:
    """Return those of the variables' own paths that are a classifier's head, or neck and head."""
    detector = tuple(path for path in paths if path.startswith(("neck_", "head_")))
    return tuple(path for path in HEAD_VARIABLES if path in paths) + detector


def is_weight(path: str) -> bool:
    """Whether a path is the model's: Keras also writes the optimizer of a compiled model."""
    return "optimizer" not in path.split("/")


def keras_layout(model: Any) -> dict[str, Target]:
    """Paths as Keras writes them for a functional model: a counter for each layer class."""
    targets = {}
    counts: Counter[str] = Counter()
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        path = f"layers/{_numbered(kind, counts[kind])}"
        counts[kind] += 1
        if hasattr(layer, "layers"):  # a model in front of the backbone
            inside = keras_layout(layer)
            targets.update({f"{path}/{name}": goal for name, goal in inside.items()})
        else:
            stored = {f"{path}/vars/{i}": target(v) for i, v in enumerate(layer.weights)}
            targets.update(stored)
    return targets


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def kerascv_layout(model: Any) -> dict[str, Target]:
    """Paths as KerasCV's `CSPDarkNetBackbone` has them, by place in its nested layers."""
    targets = {}
    blocks = _kerascv_blocks(model)
    for unit in conv_units(model):
        block = blocks[unit.part, unit.stage, unit.place]
        if unit.kind == "pointwise":
            block += "/layers/sequential"
        layer = "depthwise_conv2d" if unit.kind == "depthwise" else "conv2d"
        kernel, norm = unit_variables(model, unit)
        targets[f"{block}/layers/{layer}/vars/0"] = kernel_target(kernel, unit)
        for i, variable in enumerate(norm):
            targets[f"{block}/layers/batch_normalization/vars/{i}"] = target(variable)
    return targets


def kernel_target(kernel: Any, unit: ConvUnit) -> Target:
    """Return the target of a kernel in KerasCV's form, where the stem's is the 3x3 one."""
    if unit.part != "stem":
        return target(kernel)
    return Target(kernel, stem.folded_shape(tuple(kernel.shape)), stem.unfold, stem.fold)


def _kerascv_blocks(model: Any) -> dict[tuple[str, int, str], str]:
    """The group of each block: top-level `Sequential`s and stages are numbered in order."""
    blocks = {}
    sequential = 0
    for unit in conv_units(model):
        place = (unit.part, unit.stage, unit.place)
        if place in blocks:
            continue
        if unit.part != "csp":
            blocks[place] = f"layers/{_numbered('sequential', sequential)}"
            sequential += 1
            continue
        stage = _stage_group(unit.stage)
        if unit.place.startswith("bottleneck"):
            number, conv = map(int, re.findall(r"\d+", unit.place))
            index = 2 * (number - 1) + conv - 1
            blocks[place] = f"{stage}/bottleneck_convs/{_numbered('sequential', index)}"
        else:
            blocks[place] = f"{stage}/darknet_{unit.place}"
    return blocks


def _stage_group(stage: int) -> str:
    return f"layers/{_numbered('cross_stage_partial', stage)}"


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def kerascv_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Read the architecture off a file of KerasCV (rescaling leaves no trace: True is usual)."""
    channels: list[int] = []
    depth: list[int] = []
    last = "darknet_conv3/layers/conv2d/vars/0"
    while shape := shapes.get(f"{(stage := _stage_group(len(channels)))}/{last}"):
        channels.append(shape[-1])
        block = re.compile(rf"{stage}/bottleneck_convs/(sequential(?:_\d+)?)/")
        depth.append(len({m[1] for path in shapes if (m := block.match(path))}) // 2)
    stem_shape = shapes.get("layers/sequential/layers/conv2d/vars/0", (0, 0, 0, 0))
    return {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "use_depthwise": "layers/sequential_1/layers/depthwise_conv2d/vars/0" in shapes,
        "include_rescaling": True,
        "input_shape": (None, None, stem_shape[2] // 4),
    }


def is_kerascv(paths: Any) -> bool:
    """Whether the paths of a file are those of KerasCV's nested layers."""
    return any(path.startswith("layers/cross_stage_partial") for path in paths)


def by_variable_path(model: Any) -> dict[str, Target]:
    """Paths as the model itself names its variables, such as `dark2_conv_conv/kernel`."""
    return {variable.path: target(variable) for variable in model.weights}
