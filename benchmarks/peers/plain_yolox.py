"""YOLOX in plain PyTorch, from the photo to the boxes: a peer for timings, to be exported to ONNX.

Its layers run in the order of the official code, so that `YOLOXDetector.from_preset` reads an
export and both sides can be given the same weights.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cspdarknet.presets.sizes import SIZES
from cspdarknet.yolox.letterbox import letterbox
from peers.plain_pytorch import Bottleneck, Conv, Spp

STRIDES = (8, 16, 32)

# The network.


class Separable(nn.Sequential):
    """A depthwise 3x3 convolution, then a pointwise one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs, eps=1e-3),
            nn.SiLU(inplace=True),
            Conv(inputs, outputs),
        )


def spatial(inputs: int, outputs: int, stride: int = 1, *, depthwise: bool) -> nn.Module:
    """Return a 3x3 block of either kind."""
    return Separable(inputs, outputs, stride) if depthwise else Conv(inputs, outputs, 3, stride)


class Stage(nn.Module):
    """A cross-stage-partial stage that may change the number of channels."""

    def __init__(
        self, inputs: int, outputs: int, depth: int, *, residual: bool, depthwise: bool
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.long, self.short = Conv(inputs, half), Conv(inputs, half)
        blocks = [Bottleneck(half, residual) for _ in range(depth)]
        for block in blocks:
            block.layers[1] = spatial(half, half, depthwise=depthwise)
        self.blocks, self.join = nn.Sequential(*blocks), Conv(outputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the stage."""
        long, short = self.long(x), self.short(x)
        joined: torch.Tensor = self.join(torch.cat([self.blocks(long), short], 1))
        return joined


class Focus(nn.Module):
    """Every 2x2 patch of pixels moves to the channels."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = Conv(12, outputs, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        parts = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        folded: torch.Tensor = self.conv(torch.cat(parts, 1))
        return folded


class Neck(nn.Module):
    """PAFPN: features of three levels are mixed downwards, then upwards."""

    def __init__(self, channels: tuple[int, ...], depth: int, depthwise: bool) -> None:
        super().__init__()
        c3, c4, c5 = channels

        def stage(inputs: int, outputs: int) -> Stage:
            return Stage(inputs, outputs, depth, residual=False, depthwise=depthwise)

        self.up = nn.Upsample(scale_factor=2)
        self.lateral5, self.lateral4 = Conv(c5, c4), Conv(c4, c3)
        self.mix4, self.mix3 = stage(2 * c4, c4), stage(2 * c3, c3)
        self.down3 = spatial(c3, c3, 2, depthwise=depthwise)
        self.down4 = spatial(c4, c4, 2, depthwise=depthwise)
        self.out4, self.out5 = stage(2 * c3, c4), stage(2 * c4, c5)

    def forward(self, p3: torch.Tensor, p4: torch.Tensor, p5: torch.Tensor) -> list[torch.Tensor]:
        """Run the neck."""
        lateral5 = self.lateral5(p5)
        lateral4 = self.lateral4(self.mix4(torch.cat([self.up(lateral5), p4], 1)))
        out3 = self.mix3(torch.cat([self.up(lateral4), p3], 1))
        out4 = self.out4(torch.cat([self.down3(out3), lateral4], 1))
        return [out3, out4, self.out5(torch.cat([self.down4(out4), lateral5], 1))]


class Head(nn.Module):
    """The decoupled head of one level."""

    def __init__(self, inputs: int, width: int, classes: int, depthwise: bool) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            return nn.Sequential(*(spatial(width, width, depthwise=depthwise) for _ in range(2)))

        self.stem, self.class_branch, self.box_branch = Conv(inputs, width), branch(), branch()
        self.kind, self.box, self.present = (nn.Conv2d(width, n, 1) for n in (classes, 4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(batch, 5 + classes, places)`: box, objectness, classes."""
        x = self.stem(x)
        kinds = self.kind(self.class_branch(x))
        x = self.box_branch(x)
        boxes, present = self.box(x), self.present(x)
        return torch.cat([boxes, present.sigmoid(), kinds.sigmoid()], 1).flatten(2)


class PlainYOLOX(nn.Module):
    """A whole detector of a size of `cspdarknet.presets.sizes`, on BGR images of 0..255."""

    def __init__(self, size: str, classes: int = 80) -> None:
        super().__init__()
        channels, depths = SIZES[size].stackwise_channels, SIZES[size].stackwise_depth
        depthwise = SIZES[size].use_depthwise
        before = channels[0] // 2
        self.stem, self.stages = Focus(before), nn.ModuleList()
        for i, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            last = i == len(channels) - 1
            stage = Stage(width, width, depth, residual=not last, depthwise=depthwise)
            down = spatial(before, width, 2, depthwise=depthwise)
            self.stages.append(nn.Sequential(down, *([Spp(width)] if last else []), stage))
            before = width
        levels = channels[-len(STRIDES) :]
        self.neck = Neck(levels, depths[-1], depthwise)
        self.heads = nn.ModuleList(Head(c, levels[0], classes, depthwise) for c in levels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(batch, places, 5 + classes)`, as YOLOX's export does."""
        x, features = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        maps = self.neck(*features[-len(STRIDES) :])
        found = [head(x) for head, x in zip(self.heads, maps, strict=True)]
        return torch.cat(found, 2).permute(0, 2, 1)


def random_yolox(size: str, images: torch.Tensor) -> PlainYOLOX:
    """Return a network of random weights in which signals neither fade nor explode.

    Its batch-norms take their averages from the images.
    """
    torch.manual_seed(0)
    model = PlainYOLOX(size)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(images)
    model.eval()
    return model


def export(model: PlainYOLOX, images: torch.Tensor, path: Path) -> None:
    """Write an ONNX file with folded batch-norms, by the exporter that YOLOX uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch prefers its newer exporter
        torch.onnx.export(
            model, (images,), path, input_names=["images"], output_names=["output"], dynamo=False
        )


# Before and after it, in NumPy.


def network_input(photo: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Return `(1, 3, size, size)`, BGR of 0..255, and the ratio of the letterbox."""
    square, ratio = letterbox(photo, size)
    return np.ascontiguousarray(square[None, :, :, ::-1].transpose(0, 3, 1, 2), "float32"), ratio


def decode(outputs: np.ndarray, size: int) -> np.ndarray:
    """Return the corners of the boxes of one image, `(places, 4)`, in pixels of the square."""
    grids, steps = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: size // stride, : size // stride]
        grids.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        steps.append(np.full((len(grids[-1]), 1), stride))
    grid, step = np.concatenate(grids), np.concatenate(steps)
    centers = (outputs[:, :2] + grid) * step
    halves = np.exp(outputs[:, 2:4]) * step / 2
    return np.concatenate([centers - halves, centers + halves], axis=-1)


def suppress(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> list[int]:
    """Return which boxes of one class are kept, the surest first."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    order, kept = scores.argsort()[::-1], []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(int(best))
        start = np.maximum(boxes[best, :2], boxes[order, :2])
        end = np.minimum(boxes[best, 2:], boxes[order, 2:])
        overlap = np.maximum(end - start, 0).prod(-1)
        order = order[overlap <= iou_threshold * (areas[best] + areas[order] - overlap)]
    return kept


def detections(
    outputs: np.ndarray, size: int, ratio: float, score_threshold: float, iou_threshold: float
) -> np.ndarray:
    """Return the objects of one photo, `(n, 6)`: box in its pixels, score, class."""
    scores = outputs[:, 4:5] * outputs[:, 5:]
    kinds = scores.argmax(-1)
    scores = scores[np.arange(len(scores)), kinds]
    sure = scores >= score_threshold
    boxes, scores, kinds = decode(outputs, size)[sure] / ratio, scores[sure], kinds[sure]
    rows = np.concatenate([boxes, scores[:, None], kinds[:, None]], axis=-1)
    each = [rows[kinds == kind] for kind in np.unique(kinds)]
    kept = [part[suppress(part[:, :4], part[:, 4], iou_threshold)] for part in each]
    found = np.concatenate([rows[:0], *kept])
    return found[found[:, 4].argsort()[::-1]]


def photo_to_boxes(
    network: Callable[[np.ndarray], np.ndarray],
    photo: np.ndarray,
    size: int,
    score_threshold: float,
    iou_threshold: float,
) -> np.ndarray:
    """Return what `detections` finds, by a network from `(1, 3, size, size)` to raw outputs."""
    images, ratio = network_input(photo, size)
    return detections(network(images)[0], size, ratio, score_threshold, iou_threshold)


def as_function(model: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """Return a PyTorch model as a function of NumPy arrays."""

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            outputs: np.ndarray = model(torch.from_numpy(images)).numpy()
        return outputs

    return run


def onnx_function(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return an ONNX file as a function of NumPy arrays, run by ONNX Runtime."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = session.run(None, {name: images})[0]
        return outputs

    return run
