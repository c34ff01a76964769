"""Checks of the backbone's arguments, made before any graph is built."""

import numbers
from collections.abc import Sequence
from typing import Any

import keras

DEFAULT_INPUT_SHAPE = (None, None, 3)
# Far above any network in use; a damaged or hostile config could ask for more than memory holds.
MAX_CHANNELS = 65_536
MAX_DEPTH = 1_000


def check_bool(name: str, value: Any) -> bool:
    """Accept true booleans only: a non-empty string such as "no" would count as true."""
    if not (isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return bool(value)


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy; booleans are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _integers(name: str, values: Any, minimum: int, maximum: int) -> list[int]:
    rule = f"`{name}` must be a list of integers, each at least {minimum} and at most {maximum}"
    if isinstance(values, (str, set, frozenset, dict)) or not hasattr(values, "__iter__"):
        raise ValueError(f"{rule}. Received: {name}={values!r}")
    values = list(values)
    if not values:
        raise ValueError(f"{rule}, and must not be empty. Received: {name}=[]")
    for value in values:
        if not is_integer(value) or not minimum <= value <= maximum:
            raise ValueError(f"{rule}. Received: {name}={values!r}, where {value!r} is not.")
    return [int(value) for value in values]


def check_dtype(dtype: Any) -> Any:
    """Return the dtype policy that `dtype` means; its layers must compute with floats."""
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


def check_stages(channels: Any, depth: Any) -> tuple[list[int], list[int]]:
    """Check `stackwise_channels` and `stackwise_depth`, and return them as lists of int."""
    channels = _integers("stackwise_channels", channels, 2, MAX_CHANNELS)
    depth = _integers("stackwise_depth", depth, 0, MAX_DEPTH)
    if len(channels) != len(depth):
        raise ValueError(
            "`stackwise_channels` and `stackwise_depth` must have the same length, one entry for "
            f"each stage. Received: {len(channels)} channels {channels} and {len(depth)} depths "
            f"{depth}"
        )
    return channels, depth


def resolve_input_shape(
    input_shape: Any, image_shape: Any, input_tensor: Any, data_format: str
) -> tuple[int | None, ...]:
    """Check the three ways to state the input, and return the one shape they mean (no batch)."""
    if input_shape is None and image_shape is None and input_tensor is not None:
        input_shape = DEFAULT_INPUT_SHAPE
    shape = _one_of(input_shape, image_shape)
    channels_first = data_format == "channels_first"
    if channels_first and shape == DEFAULT_INPUT_SHAPE:
        shape = (3, None, None)
    _check_shape(shape, channels_first)
    if input_tensor is None:
        return shape
    return _check_tensor(input_tensor, shape, input_shape, image_shape, channels_first)


def _one_of(input_shape: Any, image_shape: Any) -> tuple[int | None, ...]:
    for name, value in (("input_shape", input_shape), ("image_shape", image_shape)):
        if value is not None and (isinstance(value, str) or not isinstance(value, Sequence)):
            raise ValueError(
                f"`{name}` must be a tuple such as (224, 224, 3). Received: {name}={value!r}"
            )
    given = None if input_shape is None else tuple(input_shape)
    if image_shape is None:
        if given is None:
            raise ValueError(
                "`input_shape` must be a tuple such as (None, None, 3). Received: input_shape=None"
            )
        return given
    image_shape = tuple(image_shape)
    if given not in (None, DEFAULT_INPUT_SHAPE, image_shape):
        raise ValueError(
            "`image_shape` is another name for `input_shape`: give one of them. "
            f"Received: input_shape={given}, image_shape={image_shape}"
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
            f"The number of channels must be known: `input_shape` is read as {order}. "
            f"Received: input_shape={shape}"
        )
    if channels_first and shape[-1] in (1, 3, 4) and shape[0] >= 32:  # no image is so narrow
        raise ValueError(
            f"With data_format='channels_first', `input_shape` is {order}, but {shape} looks like "
            f"(height, width, channels): pass {(shape[-1], *shape[:2])}, or "
            "data_format='channels_last'."
        )


def _check_tensor(
    tensor: Any, shape: tuple[Any, ...], input_shape: Any, image_shape: Any, channels_first: bool
) -> tuple[int | None, ...]:
    if not isinstance(tensor, keras.KerasTensor) or not hasattr(tensor, "_keras_history"):
        raise ValueError(
            "`input_tensor` must be a Keras tensor, such as the output of `keras.Input()` or of a "
            "layer; call the model to run it on data. "
            f"Received: input_tensor of type {type(tensor).__name__}"
        )
    found = tuple(tensor.shape[1:])
    _check_shape(found, channels_first)
    stated = image_shape is not None or input_shape not in (None, DEFAULT_INPUT_SHAPE)
    if stated and any(a not in (None, b) for a, b in zip(shape, found, strict=True)):
        raise ValueError(
            "`input_shape` contradicts `input_tensor`: leave it out, the tensor has a shape. "
            f"Received: input_shape={shape}, input_tensor of shape {found}"
        )
    return found
