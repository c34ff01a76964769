"""The building blocks of YOLOX in plain PyTorch, random weights for them, and export to ONNX.

The names and the order of the layers are those of YOLOX's `network_blocks.py`, so that checkpoints
of the networks can be read as those of YOLOX.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class BaseConv(nn.Module):
    """Convolution, batch normalization and SiLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        activations: torch.Tensor = self.act(self.bn(self.conv(x)))
        return activations


class DWConv(nn.Module):
    """A depthwise 3x3 convolution and a pointwise one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = BaseConv(inputs, inputs, 3, stride, groups=inputs)
        self.pconv = BaseConv(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        activations: torch.Tensor = self.pconv(self.dconv(x))
        return activations


def conv3x3(inputs: int, outputs: int, stride: int = 1, *, depthwise: bool) -> nn.Module:
    """Return a 3x3 convolution, depthwise separable or not."""
    return DWConv(inputs, outputs, stride) if depthwise else BaseConv(inputs, outputs, 3, stride)


class Focus(nn.Module):
    """Space to depth: each 2x2 patch of pixels becomes channels of one, by slices."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = BaseConv(12, outputs, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        patches = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        activations: torch.Tensor = self.conv(torch.cat(patches, 1))
        return activations


class Bottleneck(nn.Module):
    """A 1x1 and a 3x3 convolution, with or without a residual connection."""

    def __init__(self, channels: int, *, residual: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = BaseConv(channels, channels)
        self.conv2 = conv3x3(channels, channels, depthwise=depthwise)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        y: torch.Tensor = self.conv2(self.conv1(x))
        return x + y if self.residual else y


class CSPLayer(nn.Module):
    """A cross-stage-partial stage."""

    def __init__(
        self, inputs: int, outputs: int, depth: int, *, residual: bool, depthwise: bool
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1, self.conv2 = BaseConv(inputs, half), BaseConv(inputs, half)
        self.conv3 = BaseConv(2 * half, outputs)
        self.m = nn.Sequential(
            *(Bottleneck(half, residual=residual, depthwise=depthwise) for _ in range(depth))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        long, short = self.conv1(x), self.conv2(x)
        activations: torch.Tensor = self.conv3(torch.cat([self.m(long), short], 1))
        return activations


class SPPBottleneck(nn.Module):
    """Spatial pyramid pooling.

    Args:
        channels: Number of input and output channels.
        cascade: Whether it pools by three 5x5 windows in sequence, which is the same as YOLOX's
            windows of 5x5, 9x9 and 13x13 in parallel, and faster.
    """

    def __init__(self, channels: int, *, cascade: bool) -> None:
        super().__init__()
        self.conv1 = BaseConv(channels, channels // 2)
        sizes = (5, 5, 5) if cascade else (5, 9, 13)
        self.m = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in sizes)
        self.conv2 = BaseConv(channels // 2 * 4, channels)
        self.cascade = cascade

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        pooled = [self.conv1(x)]
        for pool in self.m:
            pooled.append(pool(pooled[-1] if self.cascade else pooled[0]))
        activations: torch.Tensor = self.conv2(torch.cat(pooled, 1))
        return activations


def with_random_weights(build: Callable[[], Network], images: torch.Tensor) -> Network:
    """Return a network with random weights, in evaluation mode.

    Its batch normalizations have the statistics of `images`, so that the activations neither vanish
    nor explode on their way through the layers.
    """
    torch.manual_seed(0)
    network = build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(images)
    network.eval()
    return network


def export_onnx(
    network: nn.Module, images: torch.Tensor, path: Path, *, dynamic: bool = False
) -> None:
    """Write an ONNX file with the input `images` and the output `output`.

    Batch normalizations are folded, by the exporter that YOLOX uses.

    Args:
        network: The network, in evaluation mode.
        images: An example of its input.
        path: The file.
        dynamic: Whether the batch size and the image size may vary.
    """
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch prefers its newer exporter
        torch.onnx.export(
            network,
            (images,),
            path,
            input_names=["images"],
            output_names=["output"],
            dynamic_axes={"images": axes, "output": axes} if dynamic else None,
            dynamo=False,
        )
