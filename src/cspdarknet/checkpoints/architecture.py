"""The parts of a model, down to the convolutions in the order that all file formats share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConvUnit:
    """A convolution and its batch-norm.

    Attributes:
        name: prefix of the two layers' names here, `{name}_conv` and `{name}_bn`.
        part: where it is: `"stem"`, `"stage"` (the stride-2 block), `"spp"`, `"csp"`, or a
            detector's `"neck"` or `"head"`.
        stage: index of the stage, -1 for the stem.
        place: position inside its part, such as `"conv1"` or `"bottleneck2_conv1"`.
        kind: `"conv"`, or the `"depthwise"` or `"pointwise"` half of a depthwise block.
    """

    name: str
    part: str
    stage: int = -1
    place: str = ""
    kind: str = "conv"


def is_detector(model: Any) -> bool:
    """Whether a model is a `YOLOXDetector`."""
    return hasattr(model, "neck_depth")


def parts(model: Any) -> tuple[Any, list[Any]]:
    """Return a model's backbone, and the kernel and bias of the classifier's head, if it has one.

    The layers of a detector's neck and head are its own, beside those of its backbone.

    Raises:
        ValueError: if the model is of another kind.
    """
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "stackwise_depth"):
        raise ValueError(
            "`model` must be a CSPDarkNetBackbone, or an ImageClassifier or YOLOXDetector with "
            "one. "
            f"Received: a {type(model).__name__} with a {type(backbone).__name__}"
        )
    if backbone is model or is_detector(model):
        return backbone, []
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
        yield from _csp_units(f"{dark}_csp", "csp", stage, "", depth, model.use_depthwise)


def _spatial(
    name: str, part: str, stage: int, place: str, use_depthwise: bool
) -> Iterator[ConvUnit]:
    kinds = ("depthwise", "pointwise") if use_depthwise else ("conv",)
    for kind in kinds:
        yield ConvUnit(name if kind == "conv" else f"{name}_{kind}", part, stage, place, kind)


def neck_units(model: Any) -> Iterator[ConvUnit]:
    """Yield the convolutions of a detector's neck in the order of the forward pass."""
    for path in ("p5_lateral", "p4_csp", "p4_lateral", "p3_csp"):
        yield from _neck_part(path, model)
    for path in ("n3_down", "n4_csp", "n4_down", "n5_csp"):
        yield from _neck_part(path, model)


def _neck_part(path: str, model: Any) -> Iterator[ConvUnit]:
    depthwise = model.use_depthwise
    name = f"neck_{path}"
    if path.endswith("_lateral"):
        yield ConvUnit(name, "neck", place=path)
    elif path.endswith("_down"):
        yield from _spatial(name, "neck", -1, path, depthwise)
    else:
        yield from _csp_units(name, "neck", -1, f"{path}_", model.neck_depth, depthwise)


def head_units(model: Any) -> Iterator[ConvUnit]:
    """Yield the convolutions of a detector's head, but for the predictions."""
    for i, level in enumerate(model.levels):
        name = f"head_{level.lower()}"
        yield ConvUnit(f"{name}_stem", "head", i, "stem")
        for branch in ("class", "box"):
            for number in (1, 2):
                place = f"{branch}_conv{number}"
                yield from _spatial(f"{name}_{place}", "head", i, place, model.use_depthwise)


def prediction_layers(model: Any) -> Iterator[tuple[int, str, str]]:
    """Yield level, kind and layer name of a detector's predictions."""
    for i, level in enumerate(model.levels):
        for kind in ("classes", "boxes", "objectness"):
            yield i, kind, f"head_{level.lower()}_{kind}"


def _csp_units(
    name: str, part: str, stage: int, before: str, depth: int, use_depthwise: bool
) -> Iterator[ConvUnit]:
    for place in ("conv1", "conv2"):
        yield ConvUnit(f"{name}_{place}", part, stage, before + place)
    for i in range(1, depth + 1):
        first, second = f"bottleneck{i}_conv1", f"bottleneck{i}_conv2"
        yield ConvUnit(f"{name}_{first}", part, stage, before + first)
        yield from _spatial(f"{name}_{second}", part, stage, before + second, use_depthwise)
    yield ConvUnit(f"{name}_conv3", part, stage, f"{before}conv3")


def unit_variables(model: Any, unit: ConvUnit) -> tuple[Any, list[Any]]:
    """Return the kernel of a unit, and its gamma, beta, moving mean and moving variance."""
    conv = model.get_layer(f"{unit.name}_conv")
    norm = model.get_layer(f"{unit.name}_bn")
    return conv.kernel, [norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance]
