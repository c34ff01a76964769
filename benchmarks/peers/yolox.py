"""YOLOX's own network and losses in PyTorch, as the package pixeltable-yolox has them."""

import sys
import types
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from harness.turns import Run
from torch import nn

# Depth, width, and whether the convolutions are depthwise.
SIZES = {
    "nano": (0.33, 0.25, True),
    "tiny": (0.33, 0.375, False),
    "s": (0.33, 0.5, False),
    "m": (0.67, 0.75, False),
}


class Network(nn.Module):
    """Backbone, neck and head, with the settings that YOLOX trains with."""

    def __init__(self, model_size: str, num_classes: int) -> None:
        super().__init__()
        neck, head = _classes()
        depth, width, depthwise = SIZES[model_size]
        channels = [256, 512, 1024]
        self.backbone = neck(depth, width, in_channels=channels, depthwise=depthwise)
        self.head = head(num_classes, width, in_channels=channels, depthwise=depthwise)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = 1e-3, 0.03
        self.head.initialize_biases(1e-2)

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss."""
        loss: torch.Tensor = self.head(self.backbone(images), labels, images)[0]
        return loss


def _classes() -> tuple[Any, Any]:
    """Return the classes of neck (with backbone) and head."""
    if find_spec("torchvision") is None:  # needed for NMS only, which a training step has not
        package: Any = types.ModuleType("torchvision")
        package.ops = types.ModuleType("torchvision.ops")
        sys.modules |= {"torchvision": package, "torchvision.ops": package.ops}
    from yolox.models.yolo_head import YoloxHead
    from yolox.models.yolo_pafpn import YoloPafpn

    return YoloPafpn, YoloxHead


def training_step(
    model_size: str, num_classes: int, images: np.ndarray, boxes: np.ndarray, class_ids: np.ndarray
) -> tuple[Run, int]:
    """Return a training step with SGD, and the number of parameters.

    Args:
        model_size: A key of `SIZES`.
        num_classes: Number of classes.
        images: `(batch, height, width, 3)`.
        boxes: `(batch, objects, 4)`: center, width and height in pixels.
        class_ids: `(batch, objects)`.
    """
    network = Network(model_size, num_classes).train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-4, momentum=0.9, nesterov=True)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(np.concatenate([class_ids[..., None], boxes], -1).astype("float32"))

    def step() -> float:
        optimizer.zero_grad()
        loss = network(x, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss)

    return step, sum(parameter.numel() for parameter in network.parameters())
