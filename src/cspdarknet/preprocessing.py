"""Preprocessing of image files and arrays into the input of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cspdarknet.images import as_image_array, center_crop, open_image, read_image, shrink
from cspdarknet.model_info import ModelInfo
from cspdarknet.yolox.letterbox import letterbox

DEFAULT_IMAGE_SIZE = 224  # of classifiers without an `image_size`


class Preprocessed(NamedTuple):
    """The input of a model, and the image that it was made from.

    Attributes:
        inputs: uint8 array `(height, width, 3)`: what the model takes.
        image: uint8 array `(height, width, 3)`: the whole image if the model takes it letterboxed,
            else `inputs`.
    """

    inputs: np.ndarray
    image: np.ndarray


Preprocessor = Callable[[Any], Preprocessed]


def preprocessor(
    info: ModelInfo, image_size: int | None = None, longer_side: int | None = None
) -> Preprocessor:
    """Return the preprocessing function of a model.

    It takes a path, the bytes of an image file, a Pillow image, or an array `(height, width, 3)` in
    0..255. Detectors get the whole image, letterboxed; classifiers its center crop; backbones the
    image as it is, or its center crop if there is an `image_size`.

    Args:
        info: the `ModelInfo` of the model.
        image_size: side in pixels of the square that the model takes, in place of its own.
        longer_side: backbones: maximum length of an image's longer side; larger ones are shrunk.

    Raises:
        ValueError: if the sizes do not fit the model.

    Example:
        >>> preprocess = preprocessor(ModelInfo("classification"), image_size=64)
        >>> preprocess(np.zeros((48, 90, 3), "uint8")).inputs.shape
        (64, 64, 3)
    """
    if longer_side is not None and (info.task != "features" or image_size is not None):
        raise ValueError(
            "`longer_side` is for backbones, without `image_size`. Received: "
            f"{longer_side=}, {image_size=}, and a model for {info.task}."
        )
    own = info.image_size
    is_fixed = own is not None and info.task in ("detection", "features")
    if is_fixed and (longer_side is not None or image_size not in (None, own)):
        received = f"{image_size=}" if longer_side is None else f"{longer_side=}"
        raise ValueError(
            f"The model takes squares of `image_size` {own}. Received: {received}: leave it out, "
            "or start from a model of that size."
        )
    size = image_size or own
    if info.letterbox:
        return lambda item: _whole(item, None)
    if info.task == "detection":
        if size is None:
            raise ValueError(
                "`image_size` must be given: the model has none of its own. "
                "Received: image_size=None."
            )
        return lambda item: _letterboxed(item, size)
    if info.task == "classification" or size is not None:
        return lambda item: _cropped(item, size or DEFAULT_IMAGE_SIZE)
    return lambda item: _whole(item, longer_side)


def _whole(item: Any, longer_side: int | None) -> Preprocessed:
    if isinstance(item, (str, Path, bytes)):
        image = read_image(item, longer_side)
    else:
        image = as_image_array(item)
        if longer_side and max(image.shape[:2]) > longer_side:
            image = np.asarray(shrink(Image.fromarray(image), longer_side))
    return Preprocessed(image, image)


def _cropped(item: Any, size: int) -> Preprocessed:
    if isinstance(item, (str, Path, bytes)):
        image = open_image(item, shorter_side=2 * size)
    else:
        image = Image.fromarray(as_image_array(item))
    inputs = center_crop(image, size)
    return Preprocessed(inputs, inputs)


def _letterboxed(item: Any, size: int) -> Preprocessed:
    image = _whole(item, None).image
    return Preprocessed(letterbox(image, size)[0], image)
