"""Calibration images, on which int8 quantization measures the ranges of activations."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.images import find_images
from cspdarknet.model_info import ModelInfo
from cspdarknet.preprocessing import preprocessor

MAX_IMAGES = 128
LONGER_SIDE = 640  # pixels, for a model that takes images of any size


def check_calibration(precision: str, calibration: Any) -> None:
    """Check that calibration images are given for int8, and only for int8.

    Raises:
        ValueError: if they are missing, or given for another precision.
    """
    if (precision == "int8") != (calibration is not None):
        received = "None" if calibration is None else f"a {type(calibration).__name__}"
        raise ValueError(
            "`calibration` must be given for precision='int8', and only then: about 100 images "
            f"like those that the model will see. Received: precision={precision!r}, "
            f"calibration={received}"
        )


def calibration_images(
    images: str | Path | Sequence[Any], info: ModelInfo, **sizes: Any
) -> list[np.ndarray]:
    """Return batches of one image each, preprocessed as the model takes them.

    Args:
        images: a folder of images, or a list of paths or arrays `(height, width, 3)`, of which
            the first 128 are used.
        info: the `ModelInfo` of the model.
        **sizes: arguments `image_size` and `longer_side` of `preprocessor`. Without any, images for
            a backbone that takes any size are shrunk to 640 pixels.
    """
    if isinstance(images, (str, Path)):
        images = [image.path for image in find_images(images)]
    if info.task == "features" and not (info.image_size or any(sizes.values())):
        sizes = {"longer_side": LONGER_SIDE}
    preprocess = preprocessor(info, **sizes)
    batches = [preprocess(image).inputs[None] for image in islice(images, MAX_IMAGES)]
    if info.data_format == "channels_first":
        batches = [batch.transpose(0, 3, 1, 2) for batch in batches]
    return [batch.astype(info.inputs) for batch in batches]
