"""Receptive fields of feature maps: the theoretical one by arithmetic, the effective one measured.

The theoretical receptive field of a position is all of the pixels that it depends on. The effective
one is where most of the energy of its gradient is, which is much less.

References:
    Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks"
    (https://arxiv.org/abs/1701.04128).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
GLOBAL = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)


@dataclass(frozen=True)
class Span:
    """The pixels along one side that a position of a feature map depends on.

    Attributes:
        first: first pixel of position 0; negative within a padding.
        last: last pixel of position 0.
        step: pixels from one position to the next.
        count: number of positions.
        whole: whether each position depends on all pixels, such as through an attention.
    """

    first: int
    last: int
    step: int
    count: int
    whole: bool = False

    @property
    def size(self) -> int:
        """Number of pixels, without an attention's and with those in a padding."""
        return self.last - self.first + 1

    def at(self, position: int) -> tuple[int, int]:
        """Return the first pixel of a position, and the one after its last."""
        return self.first + position * self.step, self.last + 1 + position * self.step

    def window(self, kernel: int, stride: int, dilation: int, padding: str) -> "Span":
        """Return the span after a convolution or pooling along this side."""
        reach = (kernel - 1) * dilation
        count, before = (self.count - reach - 1) // stride + 1, 0
        if padding == "same":
            count = -(-self.count // stride)
            before = max(0, (count - 1) * stride + reach + 1 - self.count) // 2
        first = self.first - before * self.step
        last = self.last + (reach - before) * self.step
        return Span(first, last, self.step * stride, count, self.whole)

    def padded(self, before: int, after: int) -> "Span":
        """Return the span after a padding along this side."""
        shift, count = before * self.step, self.count + before + after
        return Span(self.first - shift, self.last - shift, self.step, count, self.whole)

    def joined(self, other: "Span") -> "Span":
        """Return the span of a sum or concatenation of two feature maps."""
        if other.count == 1 < self.count:  # weights of an attention, the same at all positions
            return Span(self.first, self.last, self.step, self.count, True)
        first, last = min(self.first, other.first), max(self.last, other.last)
        return Span(first, last, self.step, self.count, self.whole or other.whole)


def theoretical_fields(
    backbone: Any, image_size: tuple[int, int], levels: Sequence[str]
) -> dict[str, tuple[Span, ...]]:
    """Return the theoretical receptive field of levels along height and width.

    Args:
        backbone: a `CSPDarkNetBackbone`.
        image_size: height and width of the images in pixels, on which the padding depends.
        levels: names of the levels.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> spans = theoretical_fields(backbone, (224, 224), ["P2", "P5"])
        >>> {level: height.size for level, (height, _) in spans.items()}
        {'P2': 18, 'P5': 666}
    """
    tensors = {level: backbone.pyramid_outputs[level] for level in levels}
    model = keras.Model(backbone.input, list(tensors.values()))
    spans = {id(model.inputs[0]): tuple(Span(0, 0, 1, side) for side in image_size)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            given = [spans[id(tensor)] for tensor in node.arguments.keras_tensors]
            after = _after(node.operation, given)
            spans.update((id(tensor), after) for tensor in node.output_tensors)
    return {level: spans[id(tensor)] for level, tensor in tensors.items()}


def _after(layer: Any, given: Sequence[tuple[Span, ...]]) -> tuple[Span, ...]:
    """Return the spans along height and width after a layer; other layers work on each position."""
    spans = given[0]
    if isinstance(layer, GLOBAL):
        return tuple(Span(0, 0, 1, 1, True) for _ in spans)
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return tuple(s.padded(*p) for s, p in zip(spans, layer.padding, strict=True))
    if isinstance(layer, (*CONVOLUTIONS, *POOLINGS)):
        is_pooling = isinstance(layer, POOLINGS)
        kernels = layer.pool_size if is_pooling else layer.kernel_size
        dilations = (1, 1) if is_pooling else layer.dilation_rate
        numbers = zip(spans, kernels, layer.strides, dilations, strict=True)
        return tuple(s.window(k, step, d, layer.padding) for s, k, step, d in numbers)
    for others in given[1:]:
        spans = tuple(a.joined(b) for a, b in zip(spans, others, strict=True))
    return spans


def effective_box(energy: np.ndarray, center: tuple[float, float], fraction: float) -> np.ndarray:
    """Return the smallest square around a point with a fraction of the energy.

    Args:
        energy: float array `(height, width)`, such as squared gradients.
        center: row and column of the point, in pixels.
        fraction: fraction of the energy, in 0..1.

    Returns:
        Left, top, right and bottom in pixels, an array; all at the center without any energy.

    Example:
        >>> energy = np.zeros((9, 9))
        >>> energy[3:6, 3:6] = 1
        >>> effective_box(energy, (4.5, 4.5), fraction=0.9).tolist()
        [3.0, 3.0, 6.0, 6.0]
    """
    rows, columns = np.indices(energy.shape) + 0.5
    radii = np.maximum(abs(rows - center[0]), abs(columns - center[1])).ravel()
    order = np.argsort(radii, kind="stable")
    total = np.cumsum(energy.ravel()[order], dtype="float64")
    half = 0.0
    if total[-1] > 0:
        half = radii[order[np.searchsorted(total, fraction * total[-1])]] + 0.5
    y, x = center
    return np.array([x - half, y - half, x + half, y + half])
