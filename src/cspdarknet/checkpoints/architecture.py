"""Task and backbone of a model, and the order of its convolutions in weight files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cspdarknet.topologies import Architecture
from cspdarknet.yolox.levels import Pyramid

# Blocks of the neck of YOLOX, in the order of the forward pass.
NECK_BLOCKS = Pyramid.of(None, num_stages=4).neck_blocks


@dataclass(frozen=True)
class ConvUnit:
    """A convolution with its batch normalization.

    Attributes:
        name: prefix of the names of the two Keras layers, `{name}_conv` and `{name}_bn`.
        block: the block that it is in: `"stem"`, `"stage"` (the stride-2 block), `"spp"`, `"csp"`,
            or a detector's `"neck"` or `"head"`.
        index: index of the stage, or of the pyramid level of a head; -1 elsewhere.
        position: position inside its block, such as `"conv1"` or `"bottleneck2_conv1"`.
        conv_type: `"conv"`, or `"depthwise"` or `"pointwise"` in a depthwise separable block.
    """

    name: str
    block: str
    index: int = -1
    position: str = ""
    conv_type: str = "conv"


def task_of(model: Any) -> str:
    """Return the task of a model or of its class.

    Returns:
        `"classification"` for an `ImageClassifier`, `"regression"` for an `ImageRegressor`,
        `"detection"` for a `YOLOXDetector`, and `"features"` for every other Keras model.
    """
    return str(getattr(model, "task", "features"))


def backbone_of(model: Any) -> Any:
    """Return the backbone of a model, which is the model itself if it is a backbone.

    Raises:
        ValueError: if there is no `CSPDarkNetBackbone` in it.
    """
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "stackwise_depth"):
        raise ValueError(
            "`model` must be a CSPDarkNetBackbone, or an ImageClassifier, ImageRegressor or "
            f"YOLOXDetector with one. Received: a {type(model).__name__} with a "
            f"{type(backbone).__name__}"
        )
    return backbone


def classifier_head(model: Any) -> list[Any]:
    """Return kernel and bias of the head of a classifier or regressor; `[]` for other models."""
    if task_of(model) not in ("classification", "regression"):
        return []
    predictions = model.get_layer("predictions")
    return [predictions.kernel, predictions.bias]


def unit_variables(model: Any, unit: ConvUnit) -> tuple[Any, list[Any]]:
    """Return the kernel of a unit, and its gamma, beta, moving mean and moving variance."""
    conv = model.get_layer(f"{unit.name}_conv")
    norm = model.get_layer(f"{unit.name}_bn")
    return conv.kernel, [norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance]


def conv_units(model: Any) -> Iterator[ConvUnit]:
    """Yield the units of a `CSPDarkNetBackbone` in KerasCV's order of creation."""
    return backbone_units(model.architecture)


def backbone_units(network: Architecture) -> Iterator[ConvUnit]:
    """Yield the units of a network, as `conv_units` does."""
    depthwise = network.use_depthwise
    if network.topology.stem:
        for number in range(1, len(network.stem) + 1):
            yield ConvUnit(f"stem_conv{number}", "stem", position=f"conv{number}")
    else:
        yield ConvUnit("stem_conv", "stem")
    for index, stage in enumerate(network.stages()):
        dark = f"dark{stage.level}"
        yield from _spatial_units(f"{dark}_conv", "stage", index, "", depthwise)
        if stage.spp:
            for position in ("conv1", "conv2"):
                yield ConvUnit(f"{dark}_spp_{position}", "spp", index, position)
        if network.topology.cross_stage:
            yield from _csp_units(f"{dark}_csp", "csp", index, "", stage.depth, depthwise)
            if network.topology.branch_conv:
                yield ConvUnit(f"{dark}_csp_branch", "csp", index, "branch")
        else:
            yield from _bottleneck_units(dark, "csp", index, "", stage.depth, depthwise)


def attention_layers(network: Architecture) -> Iterator[tuple[int, int, str, str]]:
    """Yield stage, bottleneck, part and layer name of the convolutions with bias in attention.

    The parts are `"reduce"` and `"expand"`.
    """
    for index, stage in enumerate(network.stages()):
        if not stage.bottleneck.attention(stage.branch):
            continue
        for number in range(1, stage.depth + 1):
            for part in ("reduce", "expand"):
                layer = f"dark{stage.level}_csp_bottleneck{number}_attention_{part}_conv"
                yield index, number, part, layer


def neck_units(
    neck_depth: int, use_depthwise: bool, blocks: Sequence[str] = NECK_BLOCKS
) -> Iterator[ConvUnit]:
    """Yield the units of a detector's neck in the order of the forward pass.

    Args:
        neck_depth: number of bottlenecks in each CSP stage.
        use_depthwise: whether the 3x3 blocks are depthwise separable.
        blocks: `Pyramid.neck_blocks` of the detector.
    """
    for block in blocks:
        name = f"neck_{block}"
        if block.endswith("_lateral"):
            yield ConvUnit(name, "neck", position=block)
        elif block.endswith(("_down", "_conv")):
            yield from _spatial_units(name, "neck", -1, block, use_depthwise)
        else:
            yield from _csp_units(name, "neck", -1, f"{block}_", neck_depth, use_depthwise)


def head_units(levels: Sequence[str], use_depthwise: bool) -> Iterator[ConvUnit]:
    """Yield the units of a detector's head, without the prediction layers."""
    for index, level in enumerate(levels):
        name = f"head_{level.lower()}"
        yield ConvUnit(f"{name}_stem", "head", index, "stem")
        for branch in ("class", "box"):
            for number in (1, 2):
                position = f"{branch}_conv{number}"
                yield from _spatial_units(
                    f"{name}_{position}", "head", index, position, use_depthwise
                )


def prediction_layers(levels: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the index of the level, the output and the layer name of a head's predictions."""
    for index, level in enumerate(levels):
        for output in ("classes", "boxes", "objectness"):
            yield index, output, f"head_{level.lower()}_{output}"


def _spatial_units(
    name: str, block: str, index: int, position: str, use_depthwise: bool
) -> Iterator[ConvUnit]:
    if not use_depthwise:
        yield ConvUnit(name, block, index, position)
        return
    for conv_type in ("depthwise", "pointwise"):
        yield ConvUnit(f"{name}_{conv_type}", block, index, position, conv_type)


def _csp_units(
    name: str, block: str, index: int, prefix: str, depth: int, use_depthwise: bool
) -> Iterator[ConvUnit]:
    for position in ("conv1", "conv2"):
        yield ConvUnit(f"{name}_{position}", block, index, prefix + position)
    yield from _bottleneck_units(name, block, index, prefix, depth, use_depthwise)
    yield ConvUnit(f"{name}_conv3", block, index, f"{prefix}conv3")


def _bottleneck_units(
    name: str, block: str, index: int, prefix: str, depth: int, use_depthwise: bool
) -> Iterator[ConvUnit]:
    for number in range(1, depth + 1):
        first, second = f"bottleneck{number}_conv1", f"bottleneck{number}_conv2"
        yield ConvUnit(f"{name}_{first}", block, index, prefix + first)
        yield from _spatial_units(f"{name}_{second}", block, index, prefix + second, use_depthwise)
