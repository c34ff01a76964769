"""The networks of the CSPDarkNet family, as data: what differs between its branches.

All of them are a stem and stages. A stage begins with a stride-2 block; in most of them a cross
stage follows (https://arxiv.org/abs/1911.11929): residual bottlenecks on one part of the channels,
while the other part bypasses them. `TOPOLOGIES` is the table of the family, `Architecture` one
network of it. `cspdarknet.models.network` builds it, `checkpoints.architecture` lists its
convolutions, and `checkpoints.model_size` counts its parameters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

_HALF, _QUARTER = Fraction(1, 2), Fraction(1, 4)
ATTENTION_MULTIPLE = 8  # channels inside a squeeze-and-excitation are multiples of it


@dataclass(frozen=True)
class Bottleneck:
    """Two convolutions whose output is added to their input.

    Attributes:
        kernel_sizes: sides of their kernels: (1, 3) in Darknet, (3, 1) in "edge" blocks.
        ratio: number of channels between them, as a fraction of those of the input.
        attention_ratio: number of channels inside a squeeze-and-excitation between them, as a
            fraction of those that it weighs; 0 for none.
    """

    kernel_sizes: tuple[int, int] = (1, 3)
    ratio: Fraction = Fraction(1)
    attention_ratio: Fraction = Fraction(0)

    def inner(self, channels: int) -> int:
        """Return the number of channels between the convolutions."""
        return int(channels * self.ratio)

    def attention(self, channels: int) -> int:
        """Return the number of channels inside the squeeze-and-excitation; 0 for none."""
        if not self.attention_ratio:
            return 0
        wished = self.inner(channels) * self.attention_ratio
        return max(1, int(wished / ATTENTION_MULTIPLE + _HALF)) * ATTENTION_MULTIPLE


class StemConv(NamedTuple):
    """A convolution of a stem.

    Attributes:
        share: number of channels, as a fraction of those of the first stage.
        kernel_size: side of its kernel.
        strides: 1 or 2.
    """

    share: Fraction
    kernel_size: int
    strides: int


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What the networks of one branch of the family have in common.

    Attributes:
        stem: convolutions of the stem; none for the Focus stem, which halves the size.
        downsampling: how a stage halves the size: `"grow"` by a 3x3 convolution to the channels of
            the stage, `"keep"` by one that keeps the channels of its input, `"pool"` by the mean of
            2x2 pixels and a 1x1 convolution.
        cross_stage: whether the stages are cross stages; if not, bottlenecks follow one another.
        branch_conv: whether the bottlenecks of a cross stage are followed by a 1x1 convolution.
        bottleneck: the bottlenecks.
        first_bottleneck: those of the first stage, if they differ.
        branch_ratio: number of channels of the bottlenecks of a cross stage, as a fraction of those
            of the stage.
        first_branch_ratio: that of the first stage.
        spp: whether the last stage has spatial pyramid pooling and no residual connections.
    """

    stem: tuple[StemConv, ...] = ()
    downsampling: str = "grow"
    cross_stage: bool = True
    branch_conv: bool = False
    bottleneck: Bottleneck = Bottleneck()
    first_bottleneck: Bottleneck | None = None
    branch_ratio: Fraction = _HALF
    first_branch_ratio: Fraction = _HALF
    spp: bool = False

    @property
    def first_level(self) -> int:
        """Number of the pyramid level of the first stage: 2 is P2, of stride 4."""
        return 1 + sum(conv.strides == 2 for conv in self.stem) if self.stem else 2


_PLAIN_STEM = (StemConv(_HALF, 3, 1),)
_DEEP_STEM = (StemConv(_QUARTER, 3, 2), StemConv(_HALF, 3, 1))
_EDGE = Bottleneck((3, 1), Fraction(3, 2))
_CS3 = Topology(stem=_DEEP_STEM, downsampling="keep")
_DARKNET = Topology(stem=_PLAIN_STEM, cross_stage=False, bottleneck=Bottleneck(ratio=_HALF))

# KerasCV and YOLOX have one topology; the others are timm's (`timm/models/cspnet.py`), named after
# its models.
TOPOLOGIES = {
    "yolox": Topology(spp=True),
    "cs3darknet": _CS3,
    "cs3darknet_focus": replace(_CS3, stem=(StemConv(_HALF, 6, 2),)),
    "cs3sedarknet": replace(_CS3, bottleneck=Bottleneck(attention_ratio=_QUARTER)),
    "cs3sedarknet_x": replace(_CS3, bottleneck=Bottleneck(attention_ratio=Fraction(1, 16))),
    "cs3edgenet": replace(_CS3, bottleneck=_EDGE),
    "cs3se_edgenet": replace(_CS3, bottleneck=replace(_EDGE, attention_ratio=_QUARTER)),
    "cspdarknet53": Topology(
        stem=_PLAIN_STEM,
        branch_conv=True,
        first_bottleneck=Bottleneck(ratio=_HALF),
        first_branch_ratio=Fraction(1),
    ),
    "darknet53": _DARKNET,
    "darknetaa53": replace(_DARKNET, downsampling="pool"),
}
YOLOX = "yolox"


@dataclass(frozen=True)
class Stage:
    """One stage of a network.

    Attributes:
        level: number of its pyramid level.
        inputs: number of channels of its input.
        filters: number of channels of its output.
        depth: number of bottlenecks.
        down_filters: number of channels after its stride-2 block.
        branch: number of channels of its bottlenecks.
        bottleneck: its bottlenecks.
        spp: whether it has spatial pyramid pooling and no residual connections.
        stride: number of pixels of the image from one position of its output to the next.
    """

    level: int
    inputs: int
    filters: int
    depth: int
    down_filters: int
    branch: int
    bottleneck: Bottleneck
    spp: bool
    stride: int

    @property
    def dilation(self) -> int:
        """Dilation of the 3x3 convolutions of its bottlenecks."""
        return 2**self.level // self.stride

    @property
    def down_strides(self) -> int:
        """Stride of its first block: 2, or 1 where dilation replaces it."""
        return 2 if self.dilation == 1 else 1

    @property
    def down_dilation(self) -> int:
        """Dilation of the 3x3 convolution of its first block: that of the stage before."""
        return max(1, self.dilation // 2)


@dataclass(frozen=True)
class Architecture:
    """One network of the family.

    Attributes:
        stackwise_channels: number of channels of each stage.
        stackwise_depth: number of bottlenecks of each stage.
        use_depthwise: whether the 3x3 blocks of the stages are depthwise separable.
        name: key of `TOPOLOGIES`.
        stem_channels: number of channels of each convolution of the stem; `None` for the
            topology's shares of the first stage's channels.
        output_stride: the largest stride of a stage: dilation replaces the strides of those that
            would exceed it. `None` if all of them halve the size.

    Example:
        >>> network = Architecture([64, 128, 256, 512], [1, 3, 4, 1], name="cs3darknet")
        >>> network.stem, [stage.down_filters for stage in network.stages()]
        ([(16, 3, 2), (32, 3, 1)], [32, 64, 128, 256])
    """

    stackwise_channels: Sequence[int]
    stackwise_depth: Sequence[int]
    use_depthwise: bool = False
    name: str = YOLOX
    stem_channels: Sequence[int] | None = None
    output_stride: int | None = None

    @property
    def topology(self) -> Topology:
        """What the network has in common with its branch of the family."""
        return TOPOLOGIES[self.name]

    @property
    def stem(self) -> list[tuple[int, int, int]]:
        """Number of channels, side of the kernel and stride of each convolution of the stem."""
        convs = self.topology.stem or (StemConv(_HALF, 6, 2),)
        shares = [int(self.stackwise_channels[0] * conv.share) for conv in convs]
        filters = shares if self.stem_channels is None else self.stem_channels
        return [
            (count, conv.kernel_size, conv.strides)
            for count, conv in zip(filters, convs, strict=True)
        ]

    @property
    def stem_layer(self) -> str:
        """Name of the layer that ends the stem."""
        return f"stem_conv{len(self.stem)}" if self.topology.stem else "stem_conv"

    @property
    def pyramid_channels(self) -> list[int]:
        """Number of channels of each level from P2 on, on which a detector can be put."""
        return list(self.stackwise_channels)[2 - self.topology.first_level :]

    def stages(self) -> Iterator[Stage]:
        """Yield the stages."""
        topology, inputs = self.topology, self.stem[-1][0]
        last = len(self.stackwise_channels) - 1
        for index, (filters, depth) in enumerate(
            zip(self.stackwise_channels, self.stackwise_depth, strict=True)
        ):
            ratio = topology.branch_ratio if index else topology.first_branch_ratio
            bottleneck = topology.bottleneck
            if index == 0 and topology.first_bottleneck is not None:
                bottleneck = topology.first_bottleneck
            level = topology.first_level + index
            yield Stage(
                level=level,
                inputs=inputs,
                filters=filters,
                depth=depth,
                down_filters=inputs if topology.downsampling == "keep" else filters,
                branch=int(filters * ratio) if topology.cross_stage else filters,
                bottleneck=bottleneck,
                spp=topology.spp and index == last,
                stride=min(2**level, self.output_stride or 2**level),
            )
            inputs = filters
