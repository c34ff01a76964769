"""Rewrite a network for inference: fewer layers, the same numbers."""

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from cspdarknet.export.program import Program, Slot, Step, put_together, take_apart

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
FLOATS = ("float32", "float64")
# Activations that work on each number by itself, whatever is beside it.
BY_NUMBER = (
    *("elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "mish", "relu", "relu6"),
    *("selu", "sigmoid", "silu", "softplus", "softsign", "tanh"),
)
# What convolutions must have in common to become one.
FORM = (
    *("filters", "kernel_size", "strides", "padding", "data_format"),
    *("dilation_rate", "groups", "activation"),
)


def fuse(model: keras.Model) -> keras.Model:
    """Return a model that computes the same in inference, faster.

    Batch-norms and the rescaling of pixels move into the convolutions, activations too;
    convolutions of one form beside each other, such as the two at the head of a CSP stage, become
    one; the pools of spatial pyramid pooling become a cascade. What remains are standard layers,
    so that the result can be saved, and loaded without this package.

    Args:
        model: a backbone, a classifier, a detector, or another functional Keras model.

    Returns:
        A functional `keras.Model` with weights of its own, for inference only: training would
        miss the batch-norms.

    Raises:
        ValueError: if the model is no functional one.

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
        The folding of batch-norms is that of every inference engine, such as ONNX Runtime's
        `ConvBNFusion`; the merging of the CSP stage's heads is exact, as both read one tensor.
    """
    fused = put_together(fused_program(model), f"{model.name}_fused")
    fused.trainable = False
    return fused


def fused_program(model: keras.Model, merge: bool = True) -> Program:
    """Return the program of the fused model, with or without merged convolutions."""
    program = take_apart(model)
    for rewrite in (fold_batch_norms, absorb_activations, fold_rescaling, cascade_pools):
        rewrite(program)
    if merge:
        merge_convolutions(program)
    return program


def fold_batch_norms(program: Program) -> None:
    """Give each batch-norm that follows a convolution to that convolution."""

    def fold(conv: Step, norm: Step) -> None:
        layer = norm.operation
        statistics = dict(zip((w.name for w in layer.weights), norm.values(), strict=True))
        wide = {name: value.astype("float64") for name, value in statistics.items()}
        scale = wide.get("gamma", 1.0) / np.sqrt(wide["moving_variance"] + layer.epsilon)
        kernel, bias = _kernel_and_bias(conv)
        bias = (bias - wide["moving_mean"]) * scale + wide.get("beta", 0.0)
        _replace(conv, kernel * _by_filter(conv, scale), bias, name=layer.name)

    _absorb(program, keras.layers.BatchNormalization, fold)


def absorb_activations(program: Program) -> None:
    """Give each activation that follows a convolution to that convolution."""

    def absorb(conv: Step, activation: Step) -> None:
        config = activation.operation.get_config()
        _replace(conv, *_kernel_and_bias(conv), **{k: config[k] for k in ("activation", "name")})

    _absorb(program, keras.layers.Activation, absorb)


def fold_rescaling(program: Program) -> None:
    """Give a rescaling without offset to the convolutions that read it."""
    readers = program.readers()
    for step in [s for s in program.steps if isinstance(s.operation, keras.layers.Rescaling)]:
        layer, (source,), (scaled,) = step.operation, step.inputs, step.outputs
        convs = readers.get(scaled, [])
        foldable = (
            np.ndim(layer.scale) == 0
            and not np.any(layer.offset)
            # Half precision would lose what is small; whole numbers would not be made floats.
            and source.dtype == scaled.dtype
            and source.dtype in FLOATS
            and not program.gives(scaled)
            and all(_is_convolution(conv) and program.called_once(conv) for conv in convs)
        )
        if foldable:
            for conv in convs:
                kernel, bias = _kernel_and_bias(conv)
                _replace(conv, kernel * layer.scale, bias)
            program.redirect(scaled, source)
            program.steps.remove(step)


def merge_convolutions(program: Program) -> None:
    """Make one convolution of those of one form that read one tensor, and split its result."""
    groups: dict[Hashable, list[Step]] = {}
    for step in program.steps:
        if _can_merge(step) and program.called_once(step):
            groups.setdefault((step.inputs[0], _form(step.operation)), []).append(step)
    for group in groups.values():
        if len(group) > 1:
            _merge(program, group)


def cascade_pools(program: Program) -> None:
    """Compute a max-pool from the next smaller one of the same tensor."""
    groups: dict[Hashable, list[Step]] = {}
    for step in program.steps:
        if _is_odd_pool(step) and program.called_once(step):
            key = (step.inputs[0], step.operation.data_format)
            groups.setdefault(key, []).append(step)
    for group in groups.values():
        chain = sorted(group, key=lambda step: _window(step))
        windows = [_window(step) for step in chain]
        place = min(map(program.steps.index, chain))
        program.steps = [step for step in program.steps if step not in chain]
        program.steps[place:place] = chain
        for (smaller, larger), (a, b) in zip(pairwise(chain), pairwise(windows), strict=True):
            config = larger.operation.get_config() | {"pool_size": b - a + 1}
            larger.operation = keras.layers.MaxPooling2D.from_config(config)
            larger.args = smaller.outputs


def _absorb(program: Program, kind: type, apply: Callable[[Step, Step], None]) -> None:
    """Let each layer of a kind that alone reads a convolution be done by that convolution."""
    readers = program.readers()
    writers = {slot: step for step in program.steps for slot in step.outputs}
    for step in [s for s in program.steps if type(s.operation) is kind]:
        conv = writers.get(step.inputs[0])
        if (
            conv is not None
            and _is_convolution(conv)
            and conv.operation.activation is keras.activations.linear
            and program.only_reader(conv.outputs[0], readers) is step
            and program.called_once(conv)
            and program.called_once(step)
            and _goes_by_filter(step, conv)
        ):
            apply(conv, step)
            conv.outputs = step.outputs
            writers[step.outputs[0]] = conv
            program.steps.remove(step)


def _goes_by_filter(step: Step, conv: Step) -> bool:
    """Whether a layer treats each filter of a convolution alike, in inference."""
    if not isinstance(step.operation, keras.layers.BatchNormalization):
        return str(conv.outputs[0].dtype) == str(step.outputs[0].dtype)
    axis = -1 if conv.operation.data_format == "channels_last" else -3
    return step.operation.axis in (axis, 4 + axis) and not step.kwargs.get("training")


def _is_convolution(step: Step) -> bool:
    return type(step.operation) in CONVOLUTIONS


def _is_depthwise(conv: Step) -> bool:
    return isinstance(conv.operation, keras.layers.DepthwiseConv2D)


def _kernel_and_bias(conv: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias in float64."""
    kernel, *bias = (value.astype("float64") for value in conv.kernel_and_bias())
    depth = kernel.shape[2] if _is_depthwise(conv) else 1
    return kernel, bias[0] if bias else np.zeros(depth * kernel.shape[3])


def _channels(conv: Step) -> int:
    return -1 if conv.operation.data_format == "channels_last" else 1


def _by_filter(conv: Step, scale: np.ndarray) -> np.ndarray:
    """Bring a factor for each filter into the form of the kernel."""
    return scale.reshape(-1, conv.operation.depth_multiplier) if _is_depthwise(conv) else scale


def _replace(conv: Step, kernel: np.ndarray, bias: np.ndarray, **changes: Any) -> None:
    """Give a step a convolution with other weights, and changes in its config."""
    config = conv.operation.get_config() | {"use_bias": True, **changes}
    # Keras' own draw of weights that are replaced at once would take most of the time.
    config |= {
        key: "zeros" for key in config if key in ("kernel_initializer", "depthwise_initializer")
    }
    config.pop("lora_rank", None)  # which is in the kernel
    conv.operation = type(conv.operation).from_config(config)
    conv.weights = (kernel, bias)


def _can_merge(step: Step) -> bool:
    """Whether a convolution computes each of its filters from the whole input, and by itself."""
    layer = step.operation
    return (
        type(layer) is keras.layers.Conv2D
        and layer.groups == 1
        and keras.activations.serialize(layer.activation) in BY_NUMBER
    )


def _form(layer: keras.layers.Layer) -> str:
    config = layer.get_config()
    return repr([config[key] for key in FORM] + [config["dtype"]])


def _merge(program: Program, group: Sequence[Step]) -> None:
    first, *others = group
    kernels, biases = zip(*map(_kernel_and_bias, group), strict=True)
    outputs = tuple(step.outputs[0] for step in group)
    axis, filters = _channels(first), len(group) * first.operation.filters
    shape = list(outputs[0].shape)
    shape[axis] = filters
    name = f"{first.operation.name}_merged"
    _replace(first, np.concatenate(kernels, -1), np.concatenate(biases), filters=filters, name=name)
    merged = Slot(tuple(shape), outputs[0].dtype)
    first.outputs = (merged,)
    parts = keras.ops.split(keras.KerasTensor(merged.shape, merged.dtype), len(group), axis=axis)
    split = Step(parts[0]._keras_history.operation, (merged,), {}, outputs)
    program.steps.insert(program.steps.index(first) + 1, split)
    program.steps = [step for step in program.steps if step not in others]


def _is_odd_pool(step: Step) -> bool:
    layer = step.operation
    return (
        type(layer) is keras.layers.MaxPooling2D
        and layer.strides == (1, 1)
        and layer.padding == "same"
        and layer.pool_size[0] == layer.pool_size[1]
        and layer.pool_size[0] % 2 == 1
    )


def _window(step: Step) -> int:
    return int(step.operation.pool_size[0])
