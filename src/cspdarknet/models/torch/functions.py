"""The functions of PyTorch that stand for Keras layers.

Each takes a `Call` and its inputs, channels first and in the dtype of the layer, and returns the
output, or `None` where the layer itself has to run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import torch
import torch.nn.functional as F  # noqa: N812  (as PyTorch's own documentation imports it)

from cspdarknet.models.torch import parallel
from cspdarknet.models.torch.statistics import BatchStatistics

# Activations that take each number by itself, so that the order of the axes does not matter.
ELEMENTWISE = (
    keras.activations.hard_silu,
    keras.activations.leaky_relu,
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.relu6,
    keras.activations.sigmoid,
)


Inputs = list[torch.Tensor]
Padding = tuple[int, int] | None


@dataclass(frozen=True)
class Run:
    """One run of a program.

    Attributes:
        training: whether it is a training step.
        data_format: `"channels_last"` or `"channels_first"`, of the Keras model.
        read: returns the tensor of a variable.
        statistics: the statistics of the batch, which batch normalizations append.
    """

    training: bool
    data_format: str
    read: Callable[[Any], torch.Tensor]
    statistics: list[BatchStatistics] = field(default_factory=list)


class Call(NamedTuple):
    """The call of a layer in a run.

    Attributes:
        layer: the Keras layer.
        run: the run.
        padding: zeros around height and width that the layer adds in place of its own padding.
    """

    layer: Any
    run: Run
    padding: Padding = None


def convolution(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`Conv2D` and `DepthwiseConv2D`."""
    layer, padding, (x,) = call.layer, call.padding, inputs
    kernel, groups = _kernel_and_groups(layer, call.run.read(layer.kernel))
    if padding is None:
        x, padding = _padded(x, layer)
    bias = call.run.read(layer.bias).to(x.dtype) if layer.use_bias else None
    y = F.conv2d(x, kernel.to(x.dtype), bias, layer.strides, padding, layer.dilation_rate, groups)
    return y if layer.activation is keras.activations.linear else layer.activation(y)


def _kernel_and_groups(layer: Any, kernel: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return the kernel with the outputs first, and the number of groups."""
    if type(layer) is not keras.layers.DepthwiseConv2D:
        return kernel.permute(3, 2, 0, 1), layer.groups
    height, width, channels, multiplier = kernel.shape
    return kernel.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width), channels


def _padded(x: torch.Tensor, layer: Any) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return the input and the padding of a convolution; uneven padding is applied to the input."""
    if layer.padding == "valid":
        return x, (0, 0)
    before, after = [], []
    settings = (layer.kernel_size, layer.strides, layer.dilation_rate)
    for size, kernel, stride, dilation in zip(x.shape[2:], *settings, strict=True):
        window = (kernel - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    if before == after:
        return x, (before[0], before[1])
    return F.pad(x, (before[1], after[1], before[0], after[0])), (0, 0)


def batch_normalization(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`BatchNormalization`; the moving averages are updated after the run."""
    layer, run, (x,) = call.layer, call.run, inputs
    count = x.numel() // x.shape[1]
    half_on_cpu = x.dtype == torch.float16 and x.device.type == "cpu"
    channel_axis = (1,) if run.data_format == "channels_first" else (-1, 3)
    plain = layer.center and layer.scale and not getattr(layer, "renorm", False)
    if not plain or half_on_cpu or layer.axis not in channel_axis:
        return None
    gamma, beta = run.read(layer.gamma), run.read(layer.beta)
    if not (run.training and layer.trainable):
        moving = run.read(layer.moving_mean), run.read(layer.moving_variance)
        return F.batch_norm(x, *moving, gamma, beta, False, 0.0, layer.epsilon)
    if parallel.is_parallel():
        y, mean, variance = parallel.batch_norm(x, gamma, beta, layer.epsilon)
        run.statistics.append(BatchStatistics(layer, mean, variance))
        return y
    if count < 2:  # PyTorch refuses to normalize one number
        return None
    mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
    y = F.batch_norm(x, mean, variance, gamma, beta, True, 1.0, layer.epsilon)
    # PyTorch keeps the unbiased variance, Keras the biased one.
    run.statistics.append(BatchStatistics(layer, mean, variance * ((count - 1) / count)))
    return y


def activation(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`Activation`, `ReLU` and `LeakyReLU`."""
    layer, (x,) = call.layer, inputs
    if type(layer) is not keras.layers.Activation:
        return layer.call(x)
    if layer.activation is keras.activations.silu:
        return F.silu(x)
    return layer.activation(x) if layer.activation in ELEMENTWISE else None


def max_pooling(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`MaxPooling2D` that keeps the size."""
    layer, (x,) = call.layer, inputs
    keeps_size = layer.padding == "same" and set(layer.strides) == {1}
    if not keeps_size or any(size % 2 == 0 for size in layer.pool_size):
        return None
    return F.max_pool2d(x, layer.pool_size, 1, [size // 2 for size in layer.pool_size])


def average_pooling(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`AveragePooling2D` without padding."""
    layer, (x,) = call.layer, inputs
    return F.avg_pool2d(x, layer.pool_size, layer.strides) if layer.padding == "valid" else None


def global_average_pooling(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`GlobalAveragePooling2D` that keeps the axes."""
    return inputs[0].mean((2, 3), keepdim=True) if call.layer.keepdims else None


def concatenation(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`Concatenate` along the channels."""
    channel_axis = (1, -3) if call.run.data_format == "channels_first" else (-1, 3)
    return torch.cat(inputs, 1) if call.layer.axis in channel_axis else None


def addition(_: Call, inputs: Inputs) -> torch.Tensor | None:
    """`Add` of two feature maps of one shape."""
    is_pair = len(inputs) == 2 and inputs[0].shape == inputs[1].shape
    return inputs[0] + inputs[1] if is_pair else None


def multiplication(_: Call, inputs: Inputs) -> torch.Tensor | None:
    """`Multiply` of a feature map and weights of its channels."""
    return inputs[0] * inputs[1] if len(inputs) == 2 and inputs[0].ndim == inputs[1].ndim else None


def upsampling(call: Call, inputs: Inputs) -> torch.Tensor | None:
    """`UpSampling2D` that repeats rows and columns."""
    layer, (x,) = call.layer, inputs
    scale = [float(factor) for factor in layer.size]
    return F.interpolate(x, scale_factor=scale) if layer.interpolation == "nearest" else None


Function = Callable[[Call, Inputs], torch.Tensor | None]
FUNCTIONS: dict[type, Function] = {
    keras.layers.Activation: activation,
    keras.layers.Add: addition,
    keras.layers.AveragePooling2D: average_pooling,
    keras.layers.BatchNormalization: batch_normalization,
    keras.layers.Concatenate: concatenation,
    keras.layers.Conv2D: convolution,
    keras.layers.DepthwiseConv2D: convolution,
    keras.layers.GlobalAveragePooling2D: global_average_pooling,
    keras.layers.LeakyReLU: activation,
    keras.layers.MaxPooling2D: max_pooling,
    keras.layers.Multiply: multiplication,
    keras.layers.ReLU: activation,
    keras.layers.UpSampling2D: upsampling,
}
