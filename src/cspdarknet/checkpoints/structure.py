"""The parts of a model, down to the convolutions in the order that all file formats share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConvUnit:
    """A convolution and its batch-norm.

    Attributes:
        name: prefix of the two layers' names here, `{name}_conv` and `{name}_bn`.
        part: where it is: `"stem"`, `"stage"` (the stride-2 block), `"spp"` or `"csp"`.
        stage: index of the stage, -1 for the stem.
        place: position inside its part, such as `"conv1"` or `"bottleneck2_conv1"`.
        kind: `"conv"`, or the `"depthwise"` or `"pointwise"` half of a depthwise block.
    """

    name: str
    part: str
    stage: int = -1
    place: str = ""
    kind: str = "conv"


def parts(model: Any) -> tuple[Any, list[Any]]:
    """Return a model's backbone, and the kernel and bias of the classifier's head, if it has one.

    Raises:
        ValueError: if the model is of another kind.
    """
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "stackwise_depth"):
        raise ValueError(
            "`model` must be a CSPDarkNetBackbone, or an ImageClassifier with one. "
            f"Received: a {type(model).__name__} with a {type(backbone).__name__}"
        )
    if backbone is model:
        return model, []
    head = model.get_layer("predictions")
    return backbone, [head.kernel, head.bias]


def conv_units(model: Any) -> Iterator[ConvUnit]:
    """Yield the convolutions of a `CSPDarkNetBackbone` in KerasCV's order of creation."""
    yield ConvUnit("stem_conv", "stem")
    stages = len(model.stackwise_depth)
    for stage, depth in enumerate(model.stackwise_depth):
        dark = f"dark{stage + 2}"
        yield from _spatial(f"{dark}_conv", "stage", stage, "", model.use_depthwise)
        if stage == stages - 1:
            for place in ("conv1", "conv2"):
                yield ConvUnit(f"{dark}_spp_{place}", "spp", stage, place)
        for place in ("conv1", "conv2"):
            yield ConvUnit(f"{dark}_csp_{place}", "csp", stage, place)
        for i in range(1, depth + 1):
            first, second = f"bottleneck{i}_conv1", f"bottleneck{i}_conv2"
            yield ConvUnit(f"{dark}_csp_{first}", "csp", stage, first)
            yield from _spatial(f"{dark}_csp_{second}", "csp", stage, second, model.use_depthwise)
        yield ConvUnit(f"{dark}_csp_conv3", "csp", stage, "conv3")


def _spatial(
    name: str, part: str, stage: int, place: str, use_depthwise: bool
) -> Iterator[ConvUnit]:
    kinds = ("depthwise", "pointwise") if use_depthwise else ("conv",)
    for kind in kinds:
        yield ConvUnit(name if kind == "conv" else f"{name}_{kind}", part, stage, place, kind)


def unit_variables(model: Any, unit: ConvUnit) -> tuple[Any, list[Any]]:
    """Return the kernel of a unit, and its gamma, beta, moving mean and moving variance."""
    conv = model.get_layer(f"{unit.name}_conv")
    norm = model.get_layer(f"{unit.name}_bn")
    return conv.kernel, [norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance]
