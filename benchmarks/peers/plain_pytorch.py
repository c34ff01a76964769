"""The network of size tiny with a classifier's head, in plain PyTorch: a peer for timings."""

import torch
from torch import nn

CHANNELS, DEPTH = (48, 96, 192, 384), (1, 3, 3, 1)


class Conv(nn.Sequential):
    """Convolution, batch-norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.SiLU(inplace=True),
        )


class Bottleneck(nn.Module):
    """Two convolutions, with a residual connection or without."""

    def __init__(self, channels: int, residual: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(Conv(channels, channels), Conv(channels, channels, 3))
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        y: torch.Tensor = self.layers(x)
        return x + y if self.residual else y


class Csp(nn.Module):
    """A cross-stage-partial stage."""

    def __init__(self, channels: int, depth: int, residual: bool) -> None:
        super().__init__()
        half = channels // 2
        self.short, self.long = Conv(channels, half), Conv(channels, half)
        self.blocks = nn.Sequential(*(Bottleneck(half, residual) for _ in range(depth)))
        self.join = Conv(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the stage."""
        joined: torch.Tensor = self.join(torch.cat([self.blocks(self.long(x)), self.short(x)], 1))
        return joined


class Spp(nn.Module):
    """Spatial pyramid pooling as a cascade."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = Conv(channels, channels // 2), Conv(channels * 2, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        levels = [self.first(x)]
        for _ in range(3):
            levels.append(self.pool(levels[-1]))
        joined: torch.Tensor = self.last(torch.cat(levels, 1))
        return joined


class Classifier(nn.Module):
    """Backbone, global pooling, dense layer."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        stem = nn.Conv2d(3, CHANNELS[0] // 2, 6, 2, 2, bias=False)
        layers: list[nn.Module] = [stem, nn.BatchNorm2d(CHANNELS[0] // 2), nn.SiLU(inplace=True)]
        before = CHANNELS[0] // 2
        for i, (channels, depth) in enumerate(zip(CHANNELS, DEPTH, strict=True)):
            last = i == len(CHANNELS) - 1
            layers.append(Conv(before, channels, 3, 2))
            if last:
                layers.append(Spp(channels))
            layers.append(Csp(channels, depth, not last))
            before = channels
        self.backbone, self.head = nn.Sequential(*layers), nn.Linear(before, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits of images in 0..255."""
        logits: torch.Tensor = self.head(self.backbone(x / 255).mean((2, 3)))
        return logits
