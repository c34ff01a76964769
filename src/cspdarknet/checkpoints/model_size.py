"""Number of parameters of a model, computed from its arguments before anything is built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from cspdarknet.yolox.levels import NUM_LEVELS, Pyramid

BOX_OUTPUTS = 5  # four coordinates and the objectness


@dataclass(frozen=True)
class ModelSize:
    """Number of parameters, moving statistics included, and of convolutions."""

    parameters: int = 0
    convolutions: int = 0

    def __add__(self, other: Self) -> "ModelSize":
        return ModelSize(self.parameters + other.parameters, self.convolutions + other.convolutions)

    def __mul__(self, count: int) -> "ModelSize":
        return ModelSize(self.parameters * count, self.convolutions * count)


def _conv(inputs: int, outputs: int, side: int = 1) -> ModelSize:
    """Return the size of a convolution with its batch normalization."""
    return ModelSize(side * side * inputs * outputs + 4 * outputs, 1)


def _spatial(inputs: int, outputs: int, use_depthwise: bool) -> ModelSize:
    """Return the size of a 3x3 block."""
    if not use_depthwise:
        return _conv(inputs, outputs, 3)
    return ModelSize(9 * inputs + 4 * inputs, 1) + _conv(inputs, outputs)


def _csp(inputs: int, outputs: int, depth: int, use_depthwise: bool) -> ModelSize:
    hidden = outputs // 2
    bottleneck = _conv(hidden, hidden) + _spatial(hidden, hidden, use_depthwise)
    return _conv(inputs, hidden) * 2 + bottleneck * depth + _conv(2 * hidden, outputs)


def backbone_size(
    channels: Sequence[int], depth: Sequence[int], use_depthwise: bool, image_channels: int
) -> ModelSize:
    """Return the size of a `CSPDarkNetBackbone`.

    Args:
        channels: its `stackwise_channels`.
        depth: its `stackwise_depth`.
        use_depthwise: whether its 3x3 blocks are depthwise separable.
        image_channels: number of channels of its images.
    """
    inputs = channels[0] // 2
    size = _conv(image_channels, inputs, 6)
    for stage, (outputs, bottlenecks) in enumerate(zip(channels, depth, strict=True)):
        size += _spatial(inputs, outputs, use_depthwise)
        if stage == len(channels) - 1:
            size += _conv(outputs, outputs // 2) + _conv(4 * (outputs // 2), outputs)
        size += _csp(outputs, outputs, bottlenecks, use_depthwise)
        inputs = outputs
    return size


def detector_head_size(
    channels: Sequence[int],
    use_depthwise: bool,
    num_classes: int,
    depth: int,
    hidden: int,
    levels: Sequence[str] | None = None,
) -> ModelSize:
    """Return the size of a detector's neck and head.

    Args:
        channels: the backbone's `stackwise_channels`.
        use_depthwise: whether the 3x3 blocks are depthwise separable.
        num_classes: number of classes.
        depth: number of bottlenecks in each CSP stage of the neck.
        hidden: number of channels of the head's branches.
        levels: pyramid levels that it predicts on; `None` for the deepest three.
    """
    pyramid = Pyramid.of(levels, len(channels))
    widths, count = pyramid.channels(channels), len(pyramid.levels)
    neck = _spatial(widths[-1], widths[-1], use_depthwise) * pyramid.num_extra
    for lower, upper in pairwise(widths):  # top-down
        neck += _conv(upper, lower) + _csp(2 * lower, lower, depth, use_depthwise)
    for lower, upper in pairwise(widths[:count]):  # bottom-up
        neck += _spatial(lower, lower, use_depthwise)
        neck += _csp(2 * lower, upper, depth, use_depthwise)
    outputs = num_classes + BOX_OUTPUTS
    branches = _spatial(hidden, hidden, use_depthwise) * 4
    predictions = ModelSize((hidden + 1) * outputs, 3)
    stems = sum((_conv(width, hidden) for width in widths[:count]), ModelSize())
    return neck + stems + (branches + predictions) * count


def classifier_head_size(features: int, num_classes: int) -> ModelSize:
    """Return the size of a classifier's head."""
    return ModelSize((features + 1) * num_classes)


def config_size(backbone: Mapping[str, Any], head: Mapping[str, Any] | None) -> ModelSize:
    """Return the size of the model that a config describes.

    Args:
        backbone: arguments of the backbone.
        head: arguments of the head; `None` for a backbone alone.

    Raises:
        Exception: of any class, if the config is malformed.
    """
    channels, depth = backbone["stackwise_channels"], backbone["stackwise_depth"]
    use_depthwise = bool(backbone.get("use_depthwise"))
    shape = backbone.get("input_shape") or backbone.get("image_shape") or (1,)
    image_channels = shape[0 if backbone.get("data_format") == "channels_first" else -1]
    size = backbone_size(channels, depth, use_depthwise, image_channels)
    if head is None:
        return size
    num_classes = head["num_classes"]
    if "bounding_box_format" not in head:
        return size + classifier_head_size(channels[-1], num_classes)
    neck_depth, hidden = head.get("neck_depth"), head.get("head_channels")
    return size + detector_head_size(
        channels,
        use_depthwise,
        num_classes,
        depth[-1] if neck_depth is None else neck_depth,
        channels[-NUM_LEVELS] if hidden is None else hidden,
        head.get("levels"),
    )
