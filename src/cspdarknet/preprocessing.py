"""Preprocessing of image files and arrays into the input of a model."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.images import (
    RGB,
    as_image_array,
    center_crop,
    crop_channels,
    open_image,
    pixels_of,
)
from cspdarknet.model_info import CROPPED, ModelInfo
from cspdarknet.yolox.letterbox import letterbox

DEFAULT_IMAGE_SIZE = 224  # of classifiers without an `image_size`


class Preprocessed(NamedTuple):
    """The input of a model, and the image that it was made from.

    Attributes:
        inputs: array `(height, width, channels)` in 0..255: what the model takes. It is uint8; of
            models of other than three channels, float32 for images of more than 8 bits.
        image: such an array: the whole image if the model takes it letterboxed, else `inputs`.
    """

    inputs: np.ndarray
    image: np.ndarray


Preprocessor = Callable[[Any], Preprocessed]


def preprocessor(
    info: ModelInfo, image_size: ImageSize | None = None, longer_side: int | None = None
) -> Preprocessor:
    """Return the preprocessing function of a model.

    It takes a path, the bytes of an image file, a Pillow image, or an array `(height, width, 3)` in
    0..255, with as many channels as the model has. Detectors get the whole image, letterboxed;
    classifiers and regressors its center crop; backbones the image as it is, or its center crop if
    there is an `image_size`.

    Args:
        info: the `ModelInfo` of the model.
        image_size: side in pixels of the square that the model takes, or its height and width, in
            place of its own.
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
        shape = "squares" if isinstance(own, int) else "images"
        raise ValueError(
            f"The model takes {shape} of `image_size` {own}. Received: {received}: leave it out, "
            "or start from a model of that size."
        )
    size, channels = image_size or own, info.channels
    if takes_whole_images(info):
        return lambda item: _whole(item, None, channels)
    if info.task == "detection":
        if size is None:
            raise ValueError(
                "`image_size` must be given: the model has none of its own. "
                "Received: image_size=None."
            )
        return lambda item: _letterboxed(item, size, channels)
    if info.task in CROPPED or size is not None:
        return lambda item: _cropped(item, size or DEFAULT_IMAGE_SIZE, channels, info.crop)
    return lambda item: _whole(item, longer_side, channels)


def takes_whole_images(info: ModelInfo) -> bool:
    """Whether a detector gets images of any size, as a graph does that letterboxes uint8 images.

    Images for a graph of float32 are letterboxed before: it does not know which of them have 8
    bits, which are letterboxed in integers. What has the size of the model, it leaves as it is.
    """
    return info.letterbox and info.inputs == "uint8"


def _whole(item: Any, longer_side: int | None, channels: int) -> Preprocessed:
    image = pixels_of(item, channels, longer_side)
    return Preprocessed(image, image)


def _cropped(item: Any, size: ImageSize, channels: int, part: float) -> Preprocessed:
    if channels != RGB:
        inputs = crop_channels(pixels_of(item, channels), size, part)
    elif isinstance(item, (str, Path, bytes)):
        shorter_side = math.ceil(2 * max(sides(size)) / part)
        inputs = center_crop(open_image(item, shorter_side=shorter_side), size, part)
    else:
        inputs = center_crop(Image.fromarray(as_image_array(item)), size, part)
    return Preprocessed(inputs, inputs)


def _letterboxed(item: Any, size: ImageSize, channels: int) -> Preprocessed:
    image = pixels_of(item, channels)
    return Preprocessed(letterbox(image, size)[0], image)
