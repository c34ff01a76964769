"""YOLOX in plain PyTorch, with the NumPy code of its ONNX demo before and after it.

The layers run in the order of YOLOX's code, so that an ONNX export of the network can be loaded as
one of YOLOX, and both sides of a comparison can have the same weights.
"""

from collections.abc import Callable

import numpy as np
import torch
from harness.images import to_plain
from torch import nn

from cspdarknet.presets.sizes import SIZES
from cspdarknet.yolox.letterbox import letterbox
from peers.plain_backbone import PlainBackbone
from peers.plain_pytorch import BaseConv, CSPLayer, conv3x3
from peers.runtimes import Function

STRIDES = (8, 16, 32)


class PAFPN(nn.Module):
    """The neck: features of three levels are combined top-down, then bottom-up."""

    def __init__(self, channels: tuple[int, ...], depth: int, depthwise: bool) -> None:
        super().__init__()
        c3, c4, c5 = channels

        def stage(inputs: int, outputs: int) -> CSPLayer:
            return CSPLayer(inputs, outputs, depth, residual=False, depthwise=depthwise)

        self.upsample = nn.Upsample(scale_factor=2)
        self.lateral_conv0, self.reduce_conv1 = BaseConv(c5, c4), BaseConv(c4, c3)
        self.C3_p4, self.C3_p3 = stage(2 * c4, c4), stage(2 * c3, c3)
        self.bu_conv2 = conv3x3(c3, c3, 2, depthwise=depthwise)
        self.bu_conv1 = conv3x3(c4, c4, 2, depthwise=depthwise)
        self.C3_n3, self.C3_n4 = stage(2 * c3, c4), stage(2 * c4, c5)

    def forward(self, c3: torch.Tensor, c4: torch.Tensor, c5: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of the three levels."""
        fpn0 = self.lateral_conv0(c5)
        fpn1 = self.reduce_conv1(self.C3_p4(torch.cat([self.upsample(fpn0), c4], 1)))
        p3 = self.C3_p3(torch.cat([self.upsample(fpn1), c3], 1))
        p4 = self.C3_n3(torch.cat([self.bu_conv2(p3), fpn1], 1))
        return [p3, p4, self.C3_n4(torch.cat([self.bu_conv1(p4), fpn0], 1))]


class Head(nn.Module):
    """The decoupled head of one level."""

    def __init__(self, inputs: int, width: int, num_classes: int, depthwise: bool) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            return nn.Sequential(*(conv3x3(width, width, depthwise=depthwise) for _ in range(2)))

        self.stem, self.cls_convs, self.reg_convs = BaseConv(inputs, width), branch(), branch()
        self.cls_pred, self.reg_pred, self.obj_pred = (
            nn.Conv2d(width, outputs, 1) for outputs in (num_classes, 4, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(batch, 5 + num_classes, anchors)`: box, objectness, class scores."""
        x = self.stem(x)
        classes = self.cls_pred(self.cls_convs(x))
        x = self.reg_convs(x)
        boxes, objectness = self.reg_pred(x), self.obj_pred(x)
        return torch.cat([boxes, objectness.sigmoid(), classes.sigmoid()], 1).flatten(2)


class PlainYOLOX(nn.Module):
    """A detector of a size of `cspdarknet.presets.sizes`, on BGR images in 0..255."""

    def __init__(self, model_size: str, num_classes: int = 80) -> None:
        super().__init__()
        size = SIZES[model_size]
        self.backbone = PlainBackbone(model_size, cascade=True)
        channels = size.stackwise_channels[-len(STRIDES) :]
        self.neck = PAFPN(channels, size.stackwise_depth[-1], size.use_depthwise)
        self.heads = nn.ModuleList(
            Head(inputs, channels[0], num_classes, size.use_depthwise) for inputs in channels
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(batch, anchors, 5 + num_classes)`, as YOLOX's export does."""
        levels = self.neck(*self.backbone.stages(x)[-len(STRIDES) :])
        outputs = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        return torch.cat(outputs, 2).permute(0, 2, 1)


def preprocess(image: np.ndarray, image_size: int) -> tuple[np.ndarray, float]:
    """Return `(1, 3, size, size)`, BGR in 0..255, and the ratio of the letterbox."""
    square, ratio = letterbox(image, image_size)
    return to_plain(square[None]).astype("float32"), ratio


def decode(outputs: np.ndarray, image_size: int) -> np.ndarray:
    """Return the corners of the boxes of one image, `(anchors, 4)`, in pixels of the square."""
    grids, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: image_size // stride, : image_size // stride]
        grids.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((len(grids[-1]), 1), stride))
    grid, stride_of = np.concatenate(grids), np.concatenate(strides)
    centers = (outputs[:, :2] + grid) * stride_of
    halves = np.exp(outputs[:, 2:4]) * stride_of / 2
    return np.concatenate([centers - halves, centers + halves], axis=-1)


def nms(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> list[int]:
    """Return the indices of the boxes of one class that NMS keeps, the highest-scoring first."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    order, kept = scores.argsort()[::-1], []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(int(best))
        start = np.maximum(boxes[best, :2], boxes[order, :2])
        end = np.minimum(boxes[best, 2:], boxes[order, 2:])
        intersection = np.maximum(end - start, 0).prod(-1)
        order = order[intersection <= iou_threshold * (areas[best] + areas[order] - intersection)]
    return kept


def postprocess(
    outputs: np.ndarray, image_size: int, ratio: float, score_threshold: float, iou_threshold: float
) -> np.ndarray:
    """Return the detections in one image, `(n, 6)`: box in its pixels, score, class id."""
    scores = outputs[:, 4:5] * outputs[:, 5:]
    classes = scores.argmax(-1)
    scores = scores[np.arange(len(scores)), classes]
    candidate = scores >= score_threshold
    boxes = decode(outputs, image_size)[candidate] / ratio
    scores, classes = scores[candidate], classes[candidate]
    rows = np.concatenate([boxes, scores[:, None], classes[:, None]], axis=-1)
    by_class = [rows[classes == class_id] for class_id in np.unique(classes)]
    kept = [group[nms(group[:, :4], group[:, 4], iou_threshold)] for group in by_class]
    detections = np.concatenate([rows[:0], *kept])
    return detections[detections[:, 4].argsort()[::-1]]


def detect(
    network: Function,
    image: np.ndarray,
    image_size: int,
    score_threshold: float,
    iou_threshold: float,
) -> np.ndarray:
    """Return the detections of a network in one image, as `postprocess` does."""
    inputs, ratio = preprocess(image, image_size)
    return postprocess(network(inputs)[0], image_size, ratio, score_threshold, iou_threshold)


def numpy_function(network: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """Return a PyTorch network as a function of NumPy arrays."""

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            outputs: np.ndarray = network(torch.from_numpy(images)).numpy()
        return outputs

    return run
