"""Checks of the models' arguments, made before any graph is built."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import keras

from cspdarknet._arguments import (
    MAX_CHANNELS,
    MAX_CONVOLUTIONS,
    MAX_DEPTH,
    MAX_PARAMETERS,
    check_bool,
    check_choice,
    check_count,
    is_integer,
    is_number,
)
from cspdarknet._image_size import ImageSize
from cspdarknet._image_size import check_image_size as check_any_size
from cspdarknet.checkpoints.model_size import ModelSize, backbone_size, detector_head_size
from cspdarknet.topologies import TOPOLOGIES, YOLOX, Architecture
from cspdarknet.yolox.network import default_head_channels, default_neck_depth

DEFAULT_INPUT_SHAPE = (None, None, 3)
MAX_FLOAT32 = 3.4e38
OUTPUT_STRIDES = (8, 16, 32)


def pop_trainable(kwargs: dict[str, Any]) -> bool:
    """Check the keyword arguments of `keras.Model`, and take `trainable` out of them.

    Raises:
        ValueError: if there are others than `name` and `trainable`.
    """
    if unknown := sorted(set(kwargs) - {"name", "trainable"}):
        raise ValueError(f"Unrecognized keyword arguments: {', '.join(unknown)}")
    return check_bool("trainable", kwargs.pop("trainable", True))


def check_dtype(dtype: Any) -> Any:
    """Return the dtype policy of `dtype`; its layers must compute with floats."""
    try:
        policy = keras.dtype_policies.get(dtype)
        is_float = "float" in policy.compute_dtype
    except (ValueError, TypeError, AttributeError, KeyError):
        is_float = False
    if not is_float:
        raise ValueError(
            "`dtype` must be a float dtype, a policy such as 'mixed_bfloat16', or None. "
            f"Received: dtype={dtype!r}"
        )
    return policy


def check_size(size: ModelSize) -> None:
    """Accept the size of a model that a computer can hold, before anything of it is built."""
    if size.parameters > MAX_PARAMETERS or size.convolutions > MAX_CONVOLUTIONS:
        raise ValueError(
            f"A model must have at most {MAX_PARAMETERS:,} parameters and {MAX_CONVOLUTIONS:,} "
            f"convolutions. Received: arguments of a model with {size.parameters:,} parameters and "
            f"{size.convolutions:,} convolutions: reduce its channels or its depth."
        )


# Backbones.


def check_backbone_size(
    network: Architecture, shape: tuple[int | None, ...], data_format: str
) -> None:
    """Accept a backbone for images of this shape that a computer can hold."""
    channels = shape[0 if data_format == "channels_first" else -1]
    assert channels is not None
    check_size(backbone_size(network, channels))


def check_stages(channels: Any, depth: Any) -> tuple[list[int], list[int]]:
    """Check `stackwise_channels` and `stackwise_depth`, and return them as lists of int."""
    channels = _check_integers("stackwise_channels", channels, 2, MAX_CHANNELS)
    depth = _check_integers("stackwise_depth", depth, 0, MAX_DEPTH)
    if len(channels) != len(depth):
        raise ValueError(
            "`stackwise_channels` and `stackwise_depth` must have the same length, one entry for "
            f"each stage. Received: {len(channels)} channels {channels} and {len(depth)} depths "
            f"{depth}"
        )
    return channels, depth


def check_architecture(
    stackwise_channels: Any,
    stackwise_depth: Any,
    use_depthwise: Any,
    topology: Any,
    stem_channels: Any,
    output_stride: Any,
) -> Architecture:
    """Check the arguments of a backbone that its network follows from."""
    channels, depth = check_stages(stackwise_channels, stackwise_depth)
    use_depthwise = check_bool("use_depthwise", use_depthwise)
    check_choice("topology", topology, tuple(TOPOLOGIES))
    network = Architecture(
        channels,
        depth,
        use_depthwise,
        topology,
        output_stride=_check_output_stride(output_stride),
    )
    if topology != YOLOX and use_depthwise:
        raise ValueError(
            f"`use_depthwise` must be False for a topology other than {YOLOX!r}. Received: "
            f"topology={topology!r}, use_depthwise=True"
        )
    if stem_channels is None:
        return _check_narrowest(network)
    stem = _check_integers("stem_channels", stem_channels, 1, MAX_CHANNELS)
    count = len(TOPOLOGIES[topology].stem)
    if len(stem) != count:
        raise ValueError(
            f"`stem_channels` must have {count} entries, one for each convolution of the stem of "
            f"topology={topology!r}; leave it out for {YOLOX!r}. "
            f"Received: stem_channels={stem_channels!r}"
        )
    return replace(network, stem_channels=stem)


def _check_output_stride(value: Any) -> int | None:
    if value is None:
        return None
    if not is_integer(value) or value not in OUTPUT_STRIDES:
        raise ValueError(
            f"`output_stride` must be one of {', '.join(map(str, OUTPUT_STRIDES))}, or None. "
            f"Received: output_stride={value!r}"
        )
    return int(value)


def _check_narrowest(network: Architecture) -> Architecture:
    """Accept a network each of whose convolutions has a channel."""
    inner = min(stage.bottleneck.inner(stage.branch) for stage in network.stages())
    if min(inner, *(filters for filters, *_ in network.stem)) < 1:
        raise ValueError(
            "`stackwise_channels` must be so large that each convolution has a channel, with "
            f"topology={network.name!r}: at least 4. "
            f"Received: stackwise_channels={network.stackwise_channels}"
        )
    return network


def _check_integers(name: str, values: Any, least: int, most: int) -> list[int]:
    rule = f"`{name}` must be a list of integers, each at least {least} and at most {most}"
    if isinstance(values, (str, set, frozenset, dict)) or not hasattr(values, "__iter__"):
        raise ValueError(f"{rule}. Received: {name}={values!r}")
    values = list(values)
    if not values:
        raise ValueError(f"{rule}, and must not be empty. Received: {name}=[]")
    for value in values:
        if not is_integer(value) or not least <= value <= most:
            raise ValueError(f"{rule}. Received: {value!r} in {name}={values!r}")
    return [int(value) for value in values]


def check_normalization(
    mean: Any, std: Any, shape: tuple[int | None, ...], data_format: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Check `mean` and `std` of the pixels: one finite number for each channel, or both `None`.

    Args:
        mean: the argument of a backbone.
        std: the argument of a backbone.
        shape: the result of `resolve_input_shape`.
        data_format: `"channels_last"` or `"channels_first"`.
    """
    if mean is None and std is None:
        return None, None
    if mean is None or std is None:
        raise ValueError(
            "`mean` and `std` must be passed together. Pass zeros as `mean`, or ones as `std`, to "
            f"have one of them alone. Received: mean={mean!r}, std={std!r}"
        )
    channels = shape[0 if data_format == "channels_first" else -1]
    means = _check_numbers("mean", mean, channels)
    stds = _check_numbers("std", std, channels)
    if any(value <= 0 for value in stds):
        raise ValueError(f"`std` must have numbers greater than 0. Received: std={std!r}")
    if any(max(1, abs(a)) / b > MAX_FLOAT32 for a, b in zip(means, stds, strict=True)):
        raise ValueError(
            "`std` must not be so small that `1 / std` or `mean / std` exceeds float32. "
            f"Received: mean={mean!r}, std={std!r}"
        )
    return means, stds


def _check_numbers(name: str, values: Any, count: int | None) -> tuple[float, ...]:
    rule = f"`{name}` must be a list of {count} finite numbers, one for each channel of the images"
    if isinstance(values, (str, set, frozenset, dict)) or not hasattr(values, "__iter__"):
        raise ValueError(f"{rule}. Received: {name}={values!r}")
    values = list(values)
    if len(values) != count or not all(map(is_number, values)):
        raise ValueError(f"{rule}. Received: {name}={values!r}")
    return tuple(map(float, values))


def resolve_input_shape(
    input_shape: Any, image_shape: Any, input_tensor: Any, data_format: str
) -> tuple[int | None, ...]:
    """Check the three arguments that state the input, and return its shape without the batch."""
    if input_shape is None and image_shape is None and input_tensor is not None:
        input_shape = DEFAULT_INPUT_SHAPE
    shape = _either_shape(input_shape, image_shape)
    channels_first = data_format == "channels_first"
    if channels_first and shape == DEFAULT_INPUT_SHAPE:
        shape = (3, None, None)
    _check_shape(shape, channels_first)
    if input_tensor is None:
        return shape
    is_stated = image_shape is not None or input_shape not in (None, DEFAULT_INPUT_SHAPE)
    return _check_tensor(input_tensor, shape if is_stated else None, channels_first)


def _either_shape(input_shape: Any, image_shape: Any) -> tuple[int | None, ...]:
    for name, value in (("input_shape", input_shape), ("image_shape", image_shape)):
        if value is not None and (isinstance(value, str) or not isinstance(value, Sequence)):
            raise ValueError(
                f"`{name}` must be a tuple such as (224, 224, 3). Received: {name}={value!r}"
            )
    shape = None if input_shape is None else tuple(input_shape)
    if image_shape is None:
        if shape is None:
            raise ValueError(
                "`input_shape` must be a tuple such as (None, None, 3). Received: input_shape=None"
            )
        return shape
    image_shape = tuple(image_shape)
    if shape not in (None, DEFAULT_INPUT_SHAPE, image_shape):
        raise ValueError(
            "`image_shape` is another name for `input_shape`: pass one of them. "
            f"Received: input_shape={shape}, image_shape={image_shape}"
        )
    return image_shape


def _check_shape(shape: tuple[Any, ...], channels_first: bool) -> None:
    order = "(channels, height, width)" if channels_first else "(height, width, channels)"
    if len(shape) != 3:
        raise ValueError(
            f"`input_shape` must have three entries {order}, without the batch. "
            f"Received: input_shape={shape}"
        )
    for size in shape:
        if size is not None and not (is_integer(size) and size > 0):
            raise ValueError(
                "Each entry of `input_shape` must be a positive integer, or None for a height or "
                f"width that varies. Received: input_shape={shape}"
            )
    if shape[0 if channels_first else -1] is None:
        raise ValueError(
            f"`input_shape` must state the number of channels; it is read as {order}. "
            f"Received: input_shape={shape}"
        )
    if channels_first and shape[-1] in (1, 3, 4) and shape[0] >= 32:  # no image is so narrow
        raise ValueError(
            f"With data_format='channels_first', `input_shape` must be {order}, but {shape} looks "
            f"like (height, width, channels): pass {(shape[-1], *shape[:2])}, or "
            "data_format='channels_last'."
        )


def _check_tensor(
    tensor: Any, stated_shape: tuple[Any, ...] | None, channels_first: bool
) -> tuple[int | None, ...]:
    if not isinstance(tensor, keras.KerasTensor) or not hasattr(tensor, "_keras_history"):
        raise ValueError(
            "`input_tensor` must be a Keras tensor, such as the output of `keras.Input()` or of a "
            "layer; call the model to run it on data. "
            f"Received: input_tensor of type {type(tensor).__name__}"
        )
    shape = tuple(tensor.shape[1:])
    _check_shape(shape, channels_first)
    if stated_shape and any(a not in (None, b) for a, b in zip(stated_shape, shape, strict=True)):
        raise ValueError(
            "`input_shape` contradicts `input_tensor`: leave it out, the tensor has a shape. "
            f"Received: input_shape={stated_shape}, input_tensor of shape {shape}"
        )
    return shape


def check_levels(levels: Any) -> list[Any]:
    """Return the levels or layers of a feature pyramid as a list; there may be one alone."""
    if isinstance(levels, str) or is_integer(levels):
        return [levels]
    if not isinstance(levels, Iterable):
        raise ValueError(f"`levels` must be a list of pyramid levels. Received: levels={levels!r}")
    levels = list(levels)
    if not levels:
        raise ValueError("`levels` must name at least one level. Received: levels=[]")
    return levels


# Classifiers and detectors.


def check_backbone(backbone: Any) -> None:
    """Accept a model from one image to one feature map."""
    is_model = isinstance(backbone, keras.Model)
    ends = [getattr(backbone, name, None) for name in ("inputs", "outputs")] if is_model else [()]
    if any(not end or len(end) != 1 or len(end[0].shape) != 4 for end in ends):
        raise ValueError(
            "`backbone` must be a CSPDarkNetBackbone, or another built keras.Model with one image "
            "input and one feature map (four dimensions) as its output. "
            f"Received: backbone={backbone!r} of type {type(backbone).__name__}"
        )


def check_detector_backbone(backbone: Any, levels: int) -> None:
    """Accept a `CSPDarkNetBackbone` with feature maps of enough levels for a neck."""
    architecture = getattr(backbone, "architecture", None)
    stages = len(architecture.pyramid_channels) if isinstance(architecture, Architecture) else 0
    if stages < levels or not isinstance(backbone, keras.Model):
        raise ValueError(
            f"`backbone` must be a CSPDarkNetBackbone with {levels} stages or more. "
            f"Received: backbone={backbone!r} of type {type(backbone).__name__}"
        )
    if any(stage.dilation > 1 for stage in backbone.architecture.stages()):
        raise ValueError(
            "`backbone` must halve the size at each level for the neck of a detector. Received: "
            f"output_stride={backbone.output_stride}: leave it out, or pass None."
        )


def check_detector_size(
    backbone: Any, num_classes: int, neck_depth: Any, head_channels: Any, levels: Sequence[str]
) -> tuple[int, int]:
    """Check depth and channels of a detector's neck and head; `None` stands for YOLOX's own."""
    if neck_depth is None:
        neck_depth = default_neck_depth(backbone)
    if head_channels is None:
        head_channels = default_head_channels(backbone)
    depth = check_count("neck_depth", neck_depth, least=0, most=MAX_DEPTH)
    channels = check_count("head_channels", head_channels, most=MAX_CHANNELS)
    widths, use_depthwise = backbone.architecture.pyramid_channels, backbone.use_depthwise
    check_size(detector_head_size(widths, use_depthwise, num_classes, depth, channels, levels))
    return depth, channels


def check_image_size(size: Any, stride: int = 1) -> ImageSize:
    """Accept an image size, whose sides are multiples of the largest stride of a detector."""
    return check_any_size(size, stride, ", the model's largest stride")


def check_activation(activation: Any) -> str | None:
    """Return the name of a Keras activation; other functions cannot be saved without their code."""
    if activation is None:
        return None
    try:
        known = isinstance(activation, str) or callable(activation)
        name = keras.activations.serialize(keras.activations.get(activation)) if known else None
    except (ValueError, TypeError, AttributeError):
        name = None
    if not isinstance(name, str):
        raise ValueError(
            "`activation` must be the name of a Keras activation such as 'softmax', or None for "
            f"logits; apply any other function to the logits. Received: activation={activation!r}"
        )
    return name


def check_class_names(names: Any, num_classes: int) -> tuple[str, ...] | None:
    """Accept one name for each class, all of them different; or `None`."""
    if names is None:
        return None
    rule = f"`class_names` must be a list of {num_classes} different strings, one for each class"
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ValueError(f"{rule}. Received: class_names={names!r}")
    names = list(names)
    if len(names) != num_classes:
        raise ValueError(f"{rule}. Received: {len(names)} names, class_names={names!r}")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name or name in seen:
            raise ValueError(f"{rule}. Received: {name!r} in class_names={names!r}")
        seen.add(name)
    return tuple(names)
