"""The backbone, and a classifier with it, in plain PyTorch."""

import torch
from torch import nn

from cspdarknet.presets.sizes import SIZES
from peers.plain_pytorch import BaseConv, CSPLayer, Focus, SPPBottleneck, conv3x3


class PlainBackbone(nn.Module):
    """The CSPDarknet of YOLOX, on BGR images, channels first.

    Its state dict has YOLOX's names, so that `load_weights` gives the same weights to a
    `CSPDarkNetBackbone`.

    Args:
        model_size: A size of `cspdarknet.presets.sizes`.
        focus: Whether the stem is YOLOX's `Focus`. Otherwise it is the equivalent 6x6 convolution.
        cascade: Whether the spatial pyramid pooling is a cascade (see `SPPBottleneck`).

    Attributes:
        channels: Number of channels of each stage.
    """

    def __init__(self, model_size: str, *, focus: bool = True, cascade: bool = False) -> None:
        super().__init__()
        size = SIZES[model_size]
        self.channels = size.stackwise_channels
        inputs = self.channels[0] // 2
        self.stem = Focus(inputs) if focus else BaseConv(3, inputs, 6, 2)
        for i, (outputs, depth) in enumerate(zip(self.channels, size.stackwise_depth, strict=True)):
            last = i == len(self.channels) - 1
            layers = [conv3x3(inputs, outputs, 2, depthwise=size.use_depthwise)]
            if last:
                layers.append(SPPBottleneck(outputs, cascade=cascade))
            layers.append(
                CSPLayer(outputs, outputs, depth, residual=not last, depthwise=size.use_depthwise)
            )
            self.add_module(f"dark{i + 2}", nn.Sequential(*layers))
            inputs = outputs

    def stages(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of each stage."""
        x, outputs = self.stem(x), []
        for i in range(len(self.channels)):
            x = self.get_submodule(f"dark{i + 2}")(x)
            outputs.append(x)
        return outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output of the last stage."""
        return self.stages(x)[-1]


class PlainClassifier(nn.Module):
    """A backbone with global average pooling and a dense layer."""

    def __init__(self, backbone: PlainBackbone, num_classes: int) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.channels[-1], num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        logits: torch.Tensor = self.head(self.backbone(x).mean((2, 3)))
        return logits
