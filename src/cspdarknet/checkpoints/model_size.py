"""Number of parameters of a model, computed from its arguments before anything is built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Self

from cspdarknet.topologies import YOLOX, Architecture, Bottleneck, Stage
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


def _attention(channels: int, inner: int) -> ModelSize:
    """Return the size of the two convolutions with bias of a squeeze-and-excitation."""
    return ModelSize(2 * channels * inner + inner + channels, 2) if inner else ModelSize()


def _bottleneck(channels: int, shape: Bottleneck, use_depthwise: bool) -> ModelSize:
    size, inputs = _attention(shape.inner(channels), shape.attention(channels)), channels
    for side, outputs in zip(shape.kernel_sizes, (shape.inner(channels), channels), strict=True):
        size += _spatial(inputs, outputs, use_depthwise) if side > 1 else _conv(inputs, outputs)
        inputs = outputs
    return size


def _stage(stage: Stage, network: Architecture) -> ModelSize:
    topology, depthwise = network.topology, network.use_depthwise
    pools = topology.downsampling == "pool"
    down = _conv if pools else partial(_spatial, use_depthwise=depthwise)
    size = down(stage.inputs, stage.down_filters)
    if stage.spp:
        size += _conv(stage.filters, stage.filters // 2)
        size += _conv(4 * (stage.filters // 2), stage.filters)
    size += _bottleneck(stage.branch, stage.bottleneck, depthwise) * stage.depth
    if topology.cross_stage:
        size += _conv(stage.down_filters, stage.branch) * 2 + _conv(2 * stage.branch, stage.filters)
    if topology.branch_conv:
        size += _conv(stage.branch, stage.branch)
    return size


def backbone_size(network: Architecture, image_channels: int) -> ModelSize:
    """Return the size of a `CSPDarkNetBackbone`.

    Args:
        network: channels, depths and topology.
        image_channels: number of channels of its images.
    """
    size, inputs = ModelSize(), image_channels
    for filters, side, _ in network.stem:
        size += _conv(inputs, filters, side)
        inputs = filters
    return sum((_stage(stage, network) for stage in network.stages()), size)


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


def classifier_head_size(features: int, outputs: int) -> ModelSize:
    """Return the size of the head of a classifier or regressor: one dense layer."""
    return ModelSize((features + 1) * outputs)


def architecture_of(backbone: Mapping[str, Any]) -> Architecture:
    """Return the network that the arguments of a backbone describe."""
    return Architecture(
        backbone["stackwise_channels"],
        backbone["stackwise_depth"],
        bool(backbone.get("use_depthwise")),
        backbone.get("topology") or YOLOX,
        backbone.get("stem_channels"),
    )


def config_size(backbone: Mapping[str, Any], head: Mapping[str, Any] | None) -> ModelSize:
    """Return the size of the model that a config describes.

    Args:
        backbone: arguments of the backbone.
        head: arguments of the head; `None` for a backbone alone.

    Raises:
        Exception: of any class, if the config is malformed.
    """
    network = architecture_of(backbone)
    channels, depth = network.pyramid_channels, network.stackwise_depth
    shape = backbone.get("input_shape") or backbone.get("image_shape") or (1,)
    image_channels = shape[0 if backbone.get("data_format") == "channels_first" else -1]
    size = backbone_size(network, image_channels)
    if head is None:
        return size
    if "targets" in head:
        return size + classifier_head_size(channels[-1], len(head["targets"]))
    num_classes = head["num_classes"]
    if "bounding_box_format" not in head:
        return size + classifier_head_size(channels[-1], num_classes)
    neck_depth, hidden = head.get("neck_depth"), head.get("head_channels")
    return size + detector_head_size(
        channels,
        network.use_depthwise,
        num_classes,
        depth[-1] if neck_depth is None else neck_depth,
        channels[-NUM_LEVELS] if hidden is None else hidden,
        head.get("levels"),
    )
