"""Batches of preprocessed images on their way through a `Predictor`."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cspdarknet.images import ImageError


class Item(NamedTuple):
    """One item of a stream.

    Attributes:
        given: the image as it was given.
        inputs: its preprocessed pixels, or the error if it cannot be used.
        image_size: height and width of the image.
        image: the image that the result is for; `None` where it is not needed any more.
        copies: the same of its augmented copies, with test-time augmentation.
    """

    given: Any
    inputs: np.ndarray | ImageError
    image_size: tuple[int, int]
    image: np.ndarray | None
    copies: tuple["Item", ...] = ()


def batches(items: Iterable[Item], batch_size: int) -> Iterator[list[Item]]:
    """Group successive items of one size; those that cannot be used go along."""
    batch: list[Item] = []
    shape: tuple[int, ...] | None = None
    for item in items:
        if not isinstance(item.inputs, ImageError):
            if shape not in (None, item.inputs.shape):
                yield batch
                batch = []
            shape = item.inputs.shape
        batch.append(item)
        if len(batch) >= batch_size:
            yield batch
            batch, shape = [], None
    if batch:
        yield batch
