"""The backbone in plain PyTorch, as YOLOX writes it: a peer for timings, to be exported to ONNX.

Focus slices, a pair of 1x1 convolutions at the head of each stage, three pools beside each other.
Its state dict has YOLOX's names, so that `load_weights` gives the same weights to our model.
"""

import warnings
from pathlib import Path

import torch
from torch import nn

from cspdarknet.presets.sizes import SIZES


class BaseConv(nn.Module):
    """Convolution, batch-norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        activated: torch.Tensor = self.act(self.bn(self.conv(x)))
        return activated


class Focus(nn.Module):
    """Every 2x2 patch of pixels moves to the channels."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = BaseConv(12, outputs, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        parts = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        folded: torch.Tensor = self.conv(torch.cat(parts, 1))
        return folded


class Bottleneck(nn.Module):
    """Two convolutions, with a residual connection or without."""

    def __init__(self, channels: int, residual: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = BaseConv(channels, channels), BaseConv(channels, channels, 3)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        y: torch.Tensor = self.conv2(self.conv1(x))
        return x + y if self.residual else y


class Spp(nn.Module):
    """Spatial pyramid pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = BaseConv(channels, channels // 2)
        self.m = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in (5, 9, 13))
        self.conv2 = BaseConv(channels * 2, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        x = self.conv1(x)
        joined: torch.Tensor = self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], 1))
        return joined


class Csp(nn.Module):
    """A cross-stage-partial stage."""

    def __init__(self, channels: int, depth: int, residual: bool) -> None:
        super().__init__()
        half = channels // 2
        self.conv1, self.conv2 = BaseConv(channels, half), BaseConv(channels, half)
        self.conv3 = BaseConv(2 * half, channels)
        self.m = nn.Sequential(*(Bottleneck(half, residual) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the stage."""
        joined: torch.Tensor = self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], 1))
        return joined


class PlainBackbone(nn.Module):
    """A backbone of a size of `cspdarknet.presets.sizes`, on BGR images of 0..255, channels first."""

    def __init__(self, size: str) -> None:
        super().__init__()
        widths, depths = SIZES[size].stackwise_channels, SIZES[size].stackwise_depth
        before = widths[0] // 2
        self.stem = Focus(before)
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            last = i == len(widths) - 1
            spp = [Spp(width)] if last else []
            stage = [BaseConv(before, width, 3, 2), *spp, Csp(width, depth, not last)]
            self.add_module(f"dark{i + 2}", nn.Sequential(*stage))
            before = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the deepest features."""
        for part in self.children():
            x = part(x)
        return x


def random_backbone(size: str, images: torch.Tensor) -> PlainBackbone:
    """Return a network of random weights in which signals neither fade nor explode.

    Its batch-norms take their averages from the images.
    """
    torch.manual_seed(0)
    model = PlainBackbone(size)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(images)
    model.eval()
    return model


def export_plain(model: PlainBackbone, images: torch.Tensor, path: Path) -> None:
    """Write an ONNX file for any batch and size, with folded batch-norms."""
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch prefers its newer exporter
        torch.onnx.export(
            model,
            (images,),
            path,
            input_names=["images"],
            output_names=["features"],
            dynamic_axes={"images": axes, "features": axes},
            dynamo=False,
        )
