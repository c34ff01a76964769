"""Fusion: rewrites a network for inference into fewer layers that compute the same."""

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from cspdarknet.export.program import (
    LayerCall,
    Program,
    SymbolicTensor,
    model_from_program,
    program_from_model,
)

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
WIDE_DTYPES = ("float32", "float64")
ELEMENTWISE_ACTIVATIONS = (
    *("elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "mish", "relu", "relu6"),
    *("selu", "sigmoid", "silu", "softplus", "softsign", "tanh"),
)
LEAKY_RELU = "leaky_relu"  # name of a LeakyReLU layer that is the activation of a convolution
# The config entries in which convolutions must agree to be merged.
MERGE_KEYS = (
    *("filters", "kernel_size", "strides", "padding", "data_format"),
    *("dilation_rate", "groups", "activation"),
)


def fuse(model: keras.Model) -> keras.Model:
    """Fuse the layers of a model for faster inference.

    Batch normalizations, activations and the scale of pixels are folded into the convolutions;
    parallel convolutions of the same config, such as the two at the start of a CSP stage, are
    merged into one; the parallel max-pools of SPP become a chain of smaller ones (SPPF). All that
    remains are standard Keras layers, so that the result can be saved, and loaded without this
    package.

    Args:
        model: a backbone, a classifier, a detector, or another functional Keras model.

    Returns:
        A functional `keras.Model` with weights of its own, for inference only: it cannot be
        trained, since its batch normalizations are gone.

    Raises:
        ValueError: if the model is not functional.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> fused = fuse(backbone)
        >>> len(backbone.layers), len(fused.layers)
        (122, 47)
        >>> images = np.ones((1, 64, 64, 3), "float32")
        >>> expected = backbone.predict_on_batch(images)
        >>> np.allclose(fused.predict_on_batch(images), expected, atol=1e-4)
        True

    References:
        Folding of batch normalizations as in every inference engine, such as `ConvBNFusion` of
        ONNX Runtime; the chain of max-pools as in `SPPF` of Ultralytics' YOLOv5.
    """
    fused = model_from_program(fused_program(model), f"{model.name}_fused")
    fused.trainable = False
    return fused


def fused_program(model: keras.Model, merge: bool = True) -> Program:
    """Return the program of the fused model, with parallel convolutions merged if `merge`."""
    program = program_from_model(model)
    for rewrite in (fold_batch_norms, fold_activations, fold_rescaling, chain_max_pools):
        rewrite(program)
    if merge:
        merge_convolutions(program)
    return program


def fold_batch_norms(program: Program) -> None:
    """Fold each batch normalization that follows a convolution into the convolution."""

    def fold(conv: LayerCall, norm: LayerCall) -> None:
        layer = norm.operation
        weights = dict(zip((w.name for w in layer.weights), norm.weight_values(), strict=True))
        wide = {name: value.astype("float64") for name, value in weights.items()}
        scale = wide.get("gamma", 1.0) / np.sqrt(wide["moving_variance"] + layer.epsilon)
        kernel, bias = _kernel_and_bias(conv)
        bias = (bias - wide["moving_mean"]) * scale + wide.get("beta", 0.0)
        _replace(conv, kernel * _per_filter(conv, scale), bias, name=layer.name)

    _fold(program, keras.layers.BatchNormalization, fold)


def fold_activations(program: Program) -> None:
    """Fold each activation that follows a convolution into the convolution."""

    def fold(conv: LayerCall, call: LayerCall) -> None:
        name, activation = call.operation.name, _activation(call.operation)
        _replace(conv, *_kernel_and_bias(conv), activation=activation, name=name)

    for kind in (keras.layers.Activation, keras.layers.LeakyReLU):
        _fold(program, kind, fold)


def _activation(layer: keras.layers.Layer) -> Any:
    """Return the activation of an activation layer, as the config of a convolution has it."""
    if not isinstance(layer, keras.layers.LeakyReLU):
        return layer.get_config()["activation"]
    # Without the layer's own name, so that equal activations have equal configs.
    nameless = keras.layers.LeakyReLU.from_config(layer.get_config() | {"name": LEAKY_RELU})
    return keras.activations.serialize(nameless)


def fold_rescaling(program: Program) -> None:
    """Fold the scale of each rescaling into the convolutions that follow it.

    An offset stays in the graph, since the zeros around padded images have none.
    """
    consumers = program.consumers()
    for call in [c for c in program.calls if isinstance(c.operation, keras.layers.Rescaling)]:
        layer, (source,), (scaled,) = call.operation, call.inputs, call.outputs
        convs = consumers.get(scaled, [])
        foldable = (
            np.all(layer.scale)
            # float16 would lose small values; integers would not be cast to floats.
            and source.dtype == scaled.dtype
            and source.dtype in WIDE_DTYPES
            and not program.is_output(scaled)
            and all(_takes_scale(conv, layer) and program.is_called_once(conv) for conv in convs)
        )
        if not foldable:
            continue
        scale = np.asarray(layer.scale, "float64")
        for conv in convs:
            kernel, bias = _kernel_and_bias(conv)
            _replace(conv, kernel * (scale.reshape(-1, 1) if scale.ndim else scale), bias)
        if np.any(layer.offset):
            offset = (np.asarray(layer.offset, "float64") / scale).tolist()
            config = layer.get_config() | {"scale": 1.0, "offset": offset}
            call.operation = keras.layers.Rescaling.from_config(config)
        else:
            program.replace_tensor(scaled, source)
            program.calls.remove(call)


def _takes_scale(call: LayerCall, rescaling: keras.layers.Layer) -> bool:
    """Whether a layer is a convolution whose kernel can take over the scale of its input."""
    if not _is_convolution(call):
        return False
    shape = np.shape(rescaling.scale)
    if not shape:
        return True
    channel_axis = -1 if call.operation.data_format == "channels_last" else 0
    is_per_channel = len(shape) == 3 and np.prod(shape) == shape[channel_axis]
    return is_per_channel and getattr(call.operation, "groups", 1) == 1


def merge_convolutions(program: Program) -> None:
    """Merge convolutions of the same config on the same input into one, and split its output."""
    groups: dict[Hashable, list[LayerCall]] = {}
    for call in program.calls:
        if _is_mergeable(call) and program.is_called_once(call):
            groups.setdefault((call.inputs[0], _merge_key(call.operation)), []).append(call)
    for group in groups.values():
        if len(group) > 1:
            _merge(program, group)


def chain_max_pools(program: Program) -> None:
    """Compute each of the parallel max-pools of a tensor from the next smaller one (SPPF)."""
    groups: dict[Hashable, list[LayerCall]] = {}
    for call in program.calls:
        if _is_chainable_pool(call) and program.is_called_once(call):
            key = (call.inputs[0], call.operation.data_format)
            groups.setdefault(key, []).append(call)
    for group in groups.values():
        chain = sorted(group, key=_pool_size)
        sizes = [_pool_size(call) for call in chain]
        index = min(map(program.calls.index, chain))
        program.calls = [call for call in program.calls if call not in chain]
        program.calls[index:index] = chain
        for (smaller, larger), (a, b) in zip(pairwise(chain), pairwise(sizes), strict=True):
            config = larger.operation.get_config() | {"pool_size": b - a + 1}
            larger.operation = keras.layers.MaxPooling2D.from_config(config)
            larger.args = smaller.outputs


def _fold(program: Program, kind: type, fold: Callable[[LayerCall, LayerCall], None]) -> None:
    """Fold each layer of a type that is the only consumer of a convolution into it."""
    consumers = program.consumers()
    producers = {tensor: call for call in program.calls for tensor in call.outputs}
    for call in [c for c in program.calls if type(c.operation) is kind]:
        conv = producers.get(call.inputs[0])
        if (
            conv is not None
            and _is_convolution(conv)
            and conv.operation.activation is keras.activations.linear
            and consumers[conv.outputs[0]] == [call]
            and not program.is_output(conv.outputs[0])
            and program.is_called_once(conv)
            and program.is_called_once(call)
            and _is_per_filter(call, conv)
        ):
            fold(conv, call)
            conv.outputs = call.outputs
            producers[call.outputs[0]] = conv
            program.calls.remove(call)


def _is_per_filter(call: LayerCall, conv: LayerCall) -> bool:
    """Whether a layer applies one function to each filter of a convolution, in inference."""
    if not isinstance(call.operation, keras.layers.BatchNormalization):
        return str(conv.outputs[0].dtype) == str(call.outputs[0].dtype)
    axis = -1 if conv.operation.data_format == "channels_last" else -3
    return call.operation.axis in (axis, 4 + axis) and not call.kwargs.get("training")


def _is_convolution(call: LayerCall) -> bool:
    return type(call.operation) in CONVOLUTIONS


def _is_depthwise(conv: LayerCall) -> bool:
    return isinstance(conv.operation, keras.layers.DepthwiseConv2D)


def _kernel_and_bias(conv: LayerCall) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias in float64."""
    kernel, *bias = (value.astype("float64") for value in conv.kernel_and_bias())
    depth = kernel.shape[2] if _is_depthwise(conv) else 1
    return kernel, bias[0] if bias else np.zeros(depth * kernel.shape[3])


def _per_filter(conv: LayerCall, scale: np.ndarray) -> np.ndarray:
    """Reshape one factor per filter so that it broadcasts with the kernel."""
    return scale.reshape(-1, conv.operation.depth_multiplier) if _is_depthwise(conv) else scale


def _replace(conv: LayerCall, kernel: np.ndarray, bias: np.ndarray, **changes: Any) -> None:
    """Replace a convolution by one with other weights and changes in its config."""
    config = conv.operation.get_config() | {"use_bias": True, **changes}
    # The initial weights are overwritten at once: drawing random ones would take most of the time.
    config |= {
        key: "zeros" for key in config if key in ("kernel_initializer", "depthwise_initializer")
    }
    config.pop("lora_rank", None)  # The kernel includes the LoRA.
    conv.operation = type(conv.operation).from_config(config)
    conv.weights = (kernel, bias)


def _is_mergeable(call: LayerCall) -> bool:
    """Whether each filter of a convolution depends on the whole input and on no other filter."""
    layer = call.operation
    return (
        type(layer) is keras.layers.Conv2D
        and layer.groups == 1
        and (
            isinstance(layer.activation, keras.layers.LeakyReLU)
            or keras.activations.serialize(layer.activation) in ELEMENTWISE_ACTIVATIONS
        )
    )


def _merge_key(layer: keras.layers.Layer) -> str:
    config = layer.get_config()
    return repr([config[key] for key in MERGE_KEYS] + [config["dtype"]])


def _merge(program: Program, group: Sequence[LayerCall]) -> None:
    first, *others = group
    kernels, biases = zip(*map(_kernel_and_bias, group), strict=True)
    outputs = tuple(call.outputs[0] for call in group)
    axis = -1 if first.operation.data_format == "channels_last" else 1
    filters = len(group) * first.operation.filters
    shape = list(outputs[0].shape)
    shape[axis] = filters
    name = f"{first.operation.name}_merged"
    _replace(first, np.concatenate(kernels, -1), np.concatenate(biases), filters=filters, name=name)
    merged = SymbolicTensor(tuple(shape), outputs[0].dtype)
    first.outputs = (merged,)
    pieces = keras.ops.split(keras.KerasTensor(merged.shape, merged.dtype), len(group), axis=axis)
    split = LayerCall(pieces[0]._keras_history.operation, (merged,), {}, outputs)
    program.calls.insert(program.calls.index(first) + 1, split)
    program.calls = [call for call in program.calls if call not in others]


def _is_chainable_pool(call: LayerCall) -> bool:
    """Whether a layer is a square, odd, stride-1 max-pool: two in a row are a larger one."""
    layer = call.operation
    return (
        type(layer) is keras.layers.MaxPooling2D
        and layer.strides == (1, 1)
        and layer.padding == "same"
        and layer.pool_size[0] == layer.pool_size[1]
        and layer.pool_size[0] % 2 == 1
    )


def _pool_size(call: LayerCall) -> int:
    return int(call.operation.pool_size[0])
