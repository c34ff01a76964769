"""Checks of the arguments of classifiers and detectors, made before any graph is built."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

import keras

from cspdarknet.models.arguments import is_integer

# Far above any task in use; a damaged or hostile config could ask for more than memory holds.
MAX_CLASSES = 100_000
MAX_PIXELS = 1_000_000
# Those of `keras.utils.bounding_boxes.convert_format`.
BOX_FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
)


def check_backbone(backbone: Any) -> None:
    """Accept a model from one image to one feature map."""
    is_model = isinstance(backbone, keras.Model)
    ends = [getattr(backbone, name, None) for name in ("inputs", "outputs")] if is_model else [()]
    if any(not end or len(end) != 1 or len(end[0].shape) != 4 for end in ends):
        raise ValueError(
            "`backbone` must be a CSPDarkNetBackbone, or another built keras.Model with one image "
            "input and one feature map (four dimensions) as its output. "
            f"Received: {backbone!r} of type {type(backbone).__name__}"
        )


def check_count(name: str, value: Any, maximum: int, least: int = 1) -> int:
    """Accept an integer of at least 1, or another least value."""
    if not is_integer(value) or not least <= value <= maximum:
        raise ValueError(
            f"`{name}` must be an integer, at least {least} and at most {maximum}. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_activation(activation: Any) -> str | None:
    """Return the name of an activation of Keras; only a name can be saved without its code."""
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


def check_dropout(rate: Any) -> float:
    """Accept a share that leaves something."""
    is_number = isinstance(rate, Real) and not isinstance(rate, bool)
    if not is_number or not 0 <= float(rate) < 1:
        raise ValueError(
            f"`dropout` must be a number, at least 0 and less than 1. Received: dropout={rate!r}"
        )
    return float(rate)


def check_share(name: str, value: Any) -> float:
    """Accept a number of 0..1."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= float(value) <= 1:
        raise ValueError(f"`{name}` must be a number in 0..1. Received: {name}={value!r}")
    return float(value)


def check_detector_backbone(backbone: Any, levels: int) -> None:
    """Accept a `CSPDarkNetBackbone` with feature maps of enough sizes for a neck."""
    if len(getattr(backbone, "pyramid_outputs", ())) < levels or not isinstance(
        backbone, keras.Model
    ):
        raise ValueError(
            f"`backbone` must be a CSPDarkNetBackbone with {levels} stages or more. "
            f"Received: {backbone!r} of type {type(backbone).__name__}"
        )


def check_image_size(size: Any, stride: int) -> int:
    """Accept the side of a square that the deepest feature map divides."""
    size = check_count("image_size", size, MAX_PIXELS)
    if size % stride:
        raise ValueError(
            f"`image_size` must be a multiple of {stride}, the backbone's largest stride. "
            f"Received: image_size={size}"
        )
    return size


def check_box_format(name: Any) -> str:
    """Accept one of Keras' names."""
    if not isinstance(name, str) or name.lower() not in BOX_FORMATS:
        raise ValueError(
            f"`bounding_box_format` must be one of {', '.join(BOX_FORMATS)}. "
            f"Received: bounding_box_format={name!r}"
        )
    return name.lower()


def check_class_names(names: Any, num_classes: int) -> tuple[str, ...] | None:
    """Accept one name for each class, all of them different."""
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
