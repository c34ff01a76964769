"""The photos by which int8 finds the ranges of numbers in a network."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.images import find_images
from cspdarknet.model_info import ModelInfo
from cspdarknet.preprocessing import preparation

MOST_PHOTOS = 128
LONGER_SIDE = 640  # of a photo for a backbone, which takes any


def calibration_images(
    photos: str | Path | Sequence[Any], description: ModelInfo, **sizes: int | None
) -> list[np.ndarray]:
    """Return batches of one photo each, prepared as the graph takes them.

    Args:
        photos: a folder of photos, or a list of paths or arrays `(height, width, 3)`; the first
            128 are used. For a backbone they are shrunk to 640 pixels, if no size is given.
        description: of the graph.
        **sizes: as of `preparation`.
    """
    if isinstance(photos, (str, Path)):
        photos = [photo.path for photo in find_images(photos)]
    if description.task == "features" and not (description.image_size or any(sizes.values())):
        sizes = {"longer_side": LONGER_SIDE}
    prepare = preparation(description, **sizes)
    images = [prepare(photo)[0][None] for photo in islice(photos, MOST_PHOTOS)]
    if description.data_format == "channels_first":
        images = [image.transpose(0, 3, 1, 2) for image in images]
    return [image.astype(description.inputs) for image in images]
