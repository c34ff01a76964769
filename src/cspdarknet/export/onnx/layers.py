"""Conversion of Keras layers to ONNX nodes: a table from the class of a layer to a function."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from cspdarknet.export.onnx.writer import GraphWriter, Value
from cspdarknet.export.program import LayerCall

# Adds the nodes of a layer call with these inputs to a graph, and returns its outputs.
Converter = Callable[[GraphWriter, LayerCall, Sequence[Value]], list[Value]]


KERAS_LEAKY_SLOPE = 0.2  # of `keras.activations.leaky_relu`; the layer states its own

# Convolutions.


def convolution(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Conv2D and DepthwiseConv2D, with their bias and activation."""
    layer = call.operation
    x = writer.channels_first(inputs[0], layer.data_format)
    kernel, *bias = call.kernel_and_bias()
    height, width, depth, filters = kernel.shape
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = kernel.transpose(2, 3, 0, 1).reshape(depth * filters, 1, height, width)
        groups = depth
    else:
        kernel, groups = kernel.transpose(3, 2, 0, 1), layer.groups
    padding = _padding(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    if any(x.pads):
        if padding.get("pads") == [0, 0, 0, 0]:
            padding = {"pads": list(x.pads)}
        else:
            x = writer.padded(x)
    parameters = [writer.constant(kernel, name=f"{layer.name}.kernel")]
    parameters += [writer.constant(b, name=f"{layer.name}.bias") for b in bias]
    name = writer.node(
        "Conv",
        x.name,
        *parameters,
        name=layer.name,
        kernel_shape=[height, width],
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        **padding,
    )
    result = replace(x, name=name, pads=(0, 0, 0, 0))
    return [activate(writer, result, layer.activation)]


def _padding(
    window: Sequence[int], strides: Sequence[int], dilation: Sequence[int], padding: str
) -> dict[str, Any]:
    """Return the ONNX attribute for Keras's padding argument, valid for any size of the image."""
    spans = [(size - 1) * rate + 1 for size, rate in zip(window, dilation, strict=True)]
    if padding == "valid":
        return {"pads": [0, 0, 0, 0]}
    if all(stride == 1 for stride in strides):
        return {"pads": [(span - 1) // 2 for span in spans] + [span // 2 for span in spans]}
    if all(stride == 2 and span % 2 == 0 for stride, span in zip(strides, spans, strict=True)):
        # The same for even and odd sizes: with even ones the windows do not reach the last zeros.
        return {"pads": [span // 2 - 1 for span in spans] + [span // 2 for span in spans]}
    return {"auto_pad": "SAME_UPPER"}


def zero_padding(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert ZeroPadding2D, which the convolution that follows it applies."""
    x = writer.padded(writer.channels_first(inputs[0], call.operation.data_format))
    (top, bottom), (left, right) = call.operation.padding
    return [replace(x, pads=(top, left, bottom, right))]


# Activations.


def _silu(writer: GraphWriter, x: Value) -> str:
    return writer.node("Mul", x.name, writer.node("Sigmoid", x.name))


def _softmax(writer: GraphWriter, x: Value) -> str:
    return writer.node("Softmax", x.name, axis=1 if x.moved else x.rank - 1)


def _unary(op_type: str, writer: GraphWriter, x: Value) -> str:
    return writer.node(op_type, x.name)


def _leaky_relu(writer: GraphWriter, x: Value, slope: float = KERAS_LEAKY_SLOPE) -> str:
    return writer.node("LeakyRelu", x.name, alpha=slope)


def _relu6(writer: GraphWriter, x: Value) -> str:
    return writer.node("Clip", x.name, writer.constant(0.0), writer.constant(6.0))


ACTIVATIONS: dict[str, Callable[[GraphWriter, Value], str]] = {
    "linear": lambda _, x: x.name,
    "relu": partial(_unary, "Relu"),
    "sigmoid": partial(_unary, "Sigmoid"),
    "tanh": partial(_unary, "Tanh"),
    "leaky_relu": _leaky_relu,
    "relu6": _relu6,
    "hard_silu": partial(_unary, "HardSwish"),
    "silu": _silu,
    "swish": _silu,
    "softmax": _softmax,
}


def activate(writer: GraphWriter, x: Value, activation: Any) -> Value:
    """Add the nodes of a Keras activation: a function, or a LeakyReLU layer.

    Raises:
        ValueError: if the activation cannot be converted.
    """
    if isinstance(activation, keras.layers.LeakyReLU):
        x = writer.padded(x)
        return replace(x, name=_leaky_relu(writer, x, activation.negative_slope))
    name = keras.activations.serialize(activation)
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(
            f"The activation {name!r} cannot be converted to ONNX. Use one of "
            f"{', '.join(ACTIVATIONS)}."
        )
    x = writer.padded(x)
    return replace(x, name=ACTIVATIONS[name](writer, x))


def activation(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Activation and LeakyReLU."""
    layer = call.operation
    return [activate(writer, inputs[0], getattr(layer, "activation", layer))]


# Elementwise layers.


def rescaling(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Rescaling."""
    layer, (x,) = call.operation, map(writer.as_keras, inputs)
    name = x.name
    if "float" not in call.inputs[0].dtype:
        name = writer.cast(name, "float32")
    if np.any(np.asarray(layer.scale) != 1):
        name = writer.node("Mul", name, writer.constant(layer.scale))
    if np.any(layer.offset):
        name = writer.node("Add", name, writer.constant(layer.offset))
    return [replace(x, name=name)]


def normalization(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert a Normalization, as at the end of a regressor."""
    layer, (x,) = call.operation, map(writer.as_keras, inputs)
    mean = np.asarray(keras.ops.convert_to_numpy(layer.mean), "float32")
    std = np.sqrt(np.asarray(keras.ops.convert_to_numpy(layer.variance), "float32"))
    std = np.maximum(std, keras.backend.epsilon()).astype("float32")
    if layer.invert:
        scaled = writer.node("Mul", x.name, writer.constant(std))
        return [replace(x, name=writer.node("Add", scaled, writer.constant(mean)))]
    centered = writer.node("Sub", x.name, writer.constant(mean))
    return [replace(x, name=writer.node("Div", centered, writer.constant(std)))]


def batch_norm(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert a BatchNormalization that could not be folded into a convolution."""
    layer, (x,) = call.operation, map(writer.as_keras, inputs)
    weights = dict(zip((w.name for w in layer.weights), call.weight_values(), strict=True))
    scale = weights.get("gamma", 1.0) / np.sqrt(weights["moving_variance"] + layer.epsilon)
    offset = weights.get("beta", 0.0) - weights["moving_mean"] * scale
    shape = [1] * x.rank
    shape[layer.axis] = -1
    name = writer.node("Mul", x.name, writer.constant(scale.reshape(shape)))
    return [replace(x, name=writer.node("Add", name, writer.constant(offset.reshape(shape))))]


def elementwise(
    op_type: str, writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]
) -> list[Value]:
    """Convert a layer that combines tensors of one shape: Add, Multiply or Maximum."""
    values = _same_layout(writer, inputs)
    name = values[0].name
    for value in values[1:]:
        name = writer.node(op_type, name, value.name, name=call.operation.name)
    return [replace(values[0], name=name)]


def identity(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Dropout, which is the identity in inference."""
    del writer, call
    return [inputs[0]]


# Layers that rearrange values.


def _same_layout(writer: GraphWriter, values: Sequence[Value]) -> list[Value]:
    """Return tensors with one order of axes: channels first if it is the order of any of them."""
    padded = [writer.padded(value) for value in values]
    if not any(value.moved for value in padded):
        return padded
    return [writer.channels_first(value, "channels_last") for value in padded]


def _axis(value: Value, axis: int) -> int:
    """Return the axis of an ONNX tensor that is this axis of the Keras tensor."""
    axis %= value.rank
    return {0: 0, 1: 2, 2: 3, 3: 1}[axis] if value.moved else axis


def concatenate(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Concatenate."""
    values = _same_layout(writer, inputs)
    axis = _axis(values[0], call.operation.axis)
    names = [value.name for value in values]
    return [
        replace(values[0], name=writer.node("Concat", *names, name=call.operation.name, axis=axis))
    ]


def split(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert `keras.ops.split`."""
    x, axis = writer.padded(inputs[0]), call.operation.axis
    sizes = writer.constant([tensor.shape[axis] for tensor in call.outputs], "int64")
    names = writer.multi_output_node(
        "Split", (x.name, sizes), len(call.outputs), axis=_axis(x, axis)
    )
    return [replace(x, name=name) for name in names]


def up_sampling(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert UpSampling2D with nearest-neighbor interpolation."""
    layer = call.operation
    if layer.interpolation != "nearest":
        raise ValueError(
            "The interpolation of UpSampling2D must be 'nearest' to be converted to ONNX. "
            f"Received: interpolation={layer.interpolation!r} in the layer {layer.name!r}"
        )
    x = writer.padded(writer.channels_first(inputs[0], layer.data_format))
    scales = writer.constant([1, 1, *layer.size])
    name = writer.node(
        *("Resize", x.name, "", scales),
        name=layer.name,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return [replace(x, name=name)]


def reshape(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Reshape."""
    x = writer.as_keras(inputs[0])
    shape = (0, *call.operation.target_shape)  # 0 keeps the batch size.
    name = writer.node("Reshape", x.name, writer.constant(shape, "int64"))
    return [Value(name, len(shape))]


def permute(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Permute."""
    x = writer.as_keras(inputs[0])
    return [replace(x, name=writer.node("Transpose", x.name, perm=[0, *call.operation.dims]))]


# Pooling and dense layers.


def pool(
    op_type: str, writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]
) -> list[Value]:
    """Convert MaxPooling2D and AveragePooling2D."""
    layer = call.operation
    x = writer.padded(writer.channels_first(inputs[0], layer.data_format))
    name = writer.node(
        op_type,
        x.name,
        name=layer.name,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        **_padding(layer.pool_size, layer.strides, (1, 1), layer.padding),
    )
    return [replace(x, name=name)]


def global_pool(
    op_type: str, writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]
) -> list[Value]:
    """Convert GlobalAveragePooling2D and GlobalMaxPooling2D."""
    layer = call.operation
    x = writer.padded(writer.channels_first(inputs[0], layer.data_format))
    name = writer.node(op_type, x.name, name=layer.name)
    if layer.keepdims:
        return [replace(x, name=name)]
    return [Value(writer.node("Flatten", name), 2)]


def dense(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Dense on vectors."""
    layer, x = call.operation, writer.as_keras(inputs[0])
    kernel, *bias = call.kernel_and_bias()
    name = writer.node("MatMul", x.name, writer.constant(kernel, name=f"{layer.name}.kernel"))
    if bias:
        name = writer.node("Add", name, writer.constant(bias[0], name=f"{layer.name}.bias"))
    return [activate(writer, replace(x, name=name), layer.activation)]


LAYER_CONVERTERS: dict[str, Converter] = {
    "Activation": activation,
    "Add": partial(elementwise, "Add"),
    "AveragePooling2D": partial(pool, "AveragePool"),
    "BatchNormalization": batch_norm,
    "Concatenate": concatenate,
    "Conv2D": convolution,
    "Dense": dense,
    "DepthwiseConv2D": convolution,
    "Dropout": identity,
    "GlobalAveragePooling2D": partial(global_pool, "GlobalAveragePool"),
    "GlobalMaxPooling2D": partial(global_pool, "GlobalMaxPool"),
    "LeakyReLU": activation,
    "MaxPooling2D": partial(pool, "MaxPool"),
    "Maximum": partial(elementwise, "Max"),
    "Multiply": partial(elementwise, "Mul"),
    "Normalization": normalization,
    "Permute": permute,
    "Rescaling": rescaling,
    "Reshape": reshape,
    "Split": split,
    "UpSampling2D": up_sampling,
    "ZeroPadding2D": zero_padding,
}
