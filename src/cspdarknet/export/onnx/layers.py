"""How each Keras layer is said in ONNX: a table from the layer's class to a function."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from cspdarknet.export.onnx.writer import GraphWriter, Value
from cspdarknet.export.program import Step

Emitter = Callable[[GraphWriter, Step, Sequence[Value]], list[Value]]


def emit(
    writer: GraphWriter, step: Step, inputs: Sequence[Value], table: dict[str, Emitter]
) -> Any:
    """Write one step.

    Raises:
        ValueError: if the table has no such layer, or it computes as in training.
    """
    kind = type(step.operation).__name__
    if kind not in table:
        raise ValueError(
            f"The layer {step.operation.name!r} is a {kind}, which cannot be written as ONNX here. "
            f"Those that can: {', '.join(sorted(table))}."
        )
    if step.kwargs.get("training"):
        raise ValueError(
            f"The layer {step.operation.name!r} is called with training=True, which cannot be "
            "written as ONNX here: build the model without it."
        )
    return table[kind](writer, step, inputs)


# Convolutions.


def convolution(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Conv2D and DepthwiseConv2D, with their bias and activation."""
    layer = step.operation
    x = writer.channels_first(inputs[0], layer.data_format)
    kernel, *bias = step.kernel_and_bias()
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
    window: Sequence[int], strides: Sequence[int], dilation: Sequence[int], rule: str
) -> dict[str, Any]:
    """Return the attribute for Keras' padding rule, whatever the size of the image."""
    spans = [(size - 1) * step + 1 for size, step in zip(window, dilation, strict=True)]
    if rule == "valid":
        return {"pads": [0, 0, 0, 0]}
    if all(stride == 1 for stride in strides):
        return {"pads": [(span - 1) // 2 for span in spans] + [span // 2 for span in spans]}
    if all(stride == 2 and span % 2 == 0 for stride, span in zip(strides, spans, strict=True)):
        # The same for even and odd sizes: the last zeros are not reached in even ones.
        return {"pads": [span // 2 - 1 for span in spans] + [span // 2 for span in spans]}
    return {"auto_pad": "SAME_UPPER"}


def zero_padding(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """ZeroPadding2D: left to the convolution that follows."""
    x = writer.padded(writer.channels_first(inputs[0], step.operation.data_format))
    (top, bottom), (left, right) = step.operation.padding
    return [replace(x, pads=(top, left, bottom, right))]


# Activations.


def _silu(writer: GraphWriter, x: Value) -> str:
    return writer.node("Mul", x.name, writer.node("Sigmoid", x.name))


def _softmax(writer: GraphWriter, x: Value) -> str:
    return writer.node("Softmax", x.name, axis=1 if x.moved else x.rank - 1)


def _simple(kind: str, writer: GraphWriter, x: Value) -> str:
    return writer.node(kind, x.name)


ACTIVATIONS: dict[str, Callable[[GraphWriter, Value], str]] = {
    "linear": lambda _, x: x.name,
    "relu": partial(_simple, "Relu"),
    "sigmoid": partial(_simple, "Sigmoid"),
    "tanh": partial(_simple, "Tanh"),
    "silu": _silu,
    "swish": _silu,
    "softmax": _softmax,
}


def activate(writer: GraphWriter, x: Value, activation: Any) -> Value:
    """Apply one of Keras' activations."""
    name = keras.activations.serialize(activation)
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(
            f"The activation {name!r} cannot be written as ONNX here. Those that can: "
            f"{', '.join(ACTIVATIONS)}."
        )
    x = writer.padded(x)
    return replace(x, name=ACTIVATIONS[name](writer, x))


def activation(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Activation."""
    return [activate(writer, inputs[0], step.operation.activation)]


# What works on each number.


def rescaling(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Rescaling."""
    layer, (x,) = step.operation, map(writer.as_keras, inputs)
    name = x.name
    if "float" not in step.inputs[0].dtype:
        name = writer.cast(name, "float32")
    if np.any(np.asarray(layer.scale) != 1):
        name = writer.node("Mul", name, writer.constant(layer.scale))
    if np.any(layer.offset):
        name = writer.node("Add", name, writer.constant(layer.offset))
    return [replace(x, name=name)]


def batch_norm(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """BatchNormalization that no convolution could take over."""
    layer, (x,) = step.operation, map(writer.as_keras, inputs)
    values = dict(zip((w.name for w in layer.weights), step.values(), strict=True))
    scale = values.get("gamma", 1.0) / np.sqrt(values["moving_variance"] + layer.epsilon)
    offset = values.get("beta", 0.0) - values["moving_mean"] * scale
    shape = [1] * x.rank
    shape[layer.axis] = -1
    name = writer.node("Mul", x.name, writer.constant(scale.reshape(shape)))
    return [replace(x, name=writer.node("Add", name, writer.constant(offset.reshape(shape))))]


def merge(kind: str, writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Add, Multiply and the like."""
    values = _alike(writer, inputs)
    name = values[0].name
    for value in values[1:]:
        name = writer.node(kind, name, value.name, name=step.operation.name)
    return [replace(values[0], name=name)]


def identity(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Dropout, which does nothing in inference."""
    del writer, step
    return [inputs[0]]


# What moves numbers.


def _alike(writer: GraphWriter, values: Sequence[Value]) -> list[Value]:
    """Bring tensors into one order of axes: the graph's own, if any of them has it."""
    padded = [writer.padded(value) for value in values]
    if not any(value.moved for value in padded):
        return padded
    return [writer.channels_first(value, "channels_last") for value in padded]


def _axis(value: Value, axis: int) -> int:
    """Return where an axis of Keras' is in the graph."""
    axis %= value.rank
    return {0: 0, 1: 2, 2: 3, 3: 1}[axis] if value.moved else axis


def concatenate(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Concatenate."""
    values = _alike(writer, inputs)
    axis = _axis(values[0], step.operation.axis)
    names = [value.name for value in values]
    return [
        replace(values[0], name=writer.node("Concat", *names, name=step.operation.name, axis=axis))
    ]


def split(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """`keras.ops.split`."""
    x, axis = writer.padded(inputs[0]), step.operation.axis
    sizes = writer.constant([slot.shape[axis] for slot in step.outputs], "int64")
    names = writer.nodes_with("Split", (x.name, sizes), len(step.outputs), axis=_axis(x, axis))
    return [replace(x, name=name) for name in names]


def up_sampling(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """UpSampling2D by repetition."""
    layer = step.operation
    if layer.interpolation != "nearest":
        raise ValueError(f"UpSampling2D by {layer.interpolation!r} cannot be written as ONNX here.")
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


def reshape(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Reshape; 0 stands for the batch."""
    x = writer.as_keras(inputs[0])
    shape = (0, *step.operation.target_shape)
    name = writer.node("Reshape", x.name, writer.constant(shape, "int64"))
    return [Value(name, len(shape))]


def permute(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Permute."""
    x = writer.as_keras(inputs[0])
    return [replace(x, name=writer.node("Transpose", x.name, perm=[0, *step.operation.dims]))]


# Pools and the dense layer.


def pool(kind: str, writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """MaxPooling2D and AveragePooling2D."""
    layer = step.operation
    x = writer.padded(writer.channels_first(inputs[0], layer.data_format))
    name = writer.node(
        kind,
        x.name,
        name=layer.name,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        **_padding(layer.pool_size, layer.strides, (1, 1), layer.padding),
    )
    return [replace(x, name=name)]


def global_pool(kind: str, writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """GlobalAveragePooling2D and GlobalMaxPooling2D."""
    layer = step.operation
    x = writer.padded(writer.channels_first(inputs[0], layer.data_format))
    name = writer.node(kind, x.name, name=layer.name)
    if layer.keepdims:
        return [replace(x, name=name)]
    return [Value(writer.node("Flatten", name), 2)]


def dense(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Dense on vectors."""
    layer, x = step.operation, writer.as_keras(inputs[0])
    kernel, *bias = step.kernel_and_bias()
    name = writer.node("MatMul", x.name, writer.constant(kernel, name=f"{layer.name}.kernel"))
    if bias:
        name = writer.node("Add", name, writer.constant(bias[0], name=f"{layer.name}.bias"))
    return [activate(writer, replace(x, name=name), layer.activation)]


LAYERS: dict[str, Emitter] = {
    "Activation": activation,
    "Add": partial(merge, "Add"),
    "AveragePooling2D": partial(pool, "AveragePool"),
    "BatchNormalization": batch_norm,
    "Concatenate": concatenate,
    "Conv2D": convolution,
    "Dense": dense,
    "DepthwiseConv2D": convolution,
    "Dropout": identity,
    "GlobalAveragePooling2D": partial(global_pool, "GlobalAveragePool"),
    "GlobalMaxPooling2D": partial(global_pool, "GlobalMaxPool"),
    "MaxPooling2D": partial(pool, "MaxPool"),
    "Maximum": partial(merge, "Max"),
    "Multiply": partial(merge, "Mul"),
    "Permute": permute,
    "Rescaling": rescaling,
    "Reshape": reshape,
    "Split": split,
    "UpSampling2D": up_sampling,
    "ZeroPadding2D": zero_padding,
}
