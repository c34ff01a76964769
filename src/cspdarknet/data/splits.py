"""Splits of a dataset: their names in files and folders, and setting images aside."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cspdarknet._arguments import is_number
from cspdarknet.data.dataset import AnyDataset

# The name of each split, with the names that other tools use for it.
SPLIT_NAMES = {
    "train": ("train", "training", "trainval"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}
# Words that are written behind these names without a space, as in `trainset`.
ENDINGS = ("set", "data", "images")


@lru_cache(maxsize=65536)
def split_name(text: str, *, exact: bool = False) -> str | None:
    """Return the split that a file, folder or table cell is named after, or `None`.

    Args:
        text: the name, in any case.
        exact: whether the whole name must be that of a split. Otherwise it may contain it as one
            of its words.

    Example:
        >>> split_name("instances_val2017"), split_name("test tubes", exact=True)
        ('validation', None)
    """
    words = {text.strip().lower()} if exact else set(re.findall("[a-z]+", text.lower()))
    if not exact:
        words |= {word.removesuffix(ending) for word in words for ending in ENDINGS}
    return next((split for split, names in SPLIT_NAMES.items() if words & set(names)), None)


def check_validation_split(fraction: float) -> None:
    """Check the fraction of the images that is set aside for validation.

    Raises:
        ValueError: if it is not a number between 0 and 1, both excluded.
    """
    if not is_number(fraction) or not 0 < fraction < 1:
        raise ValueError(
            "`validation_split` must be a number greater than 0 and less than 1. "
            f"Received: validation_split={fraction!r}"
        )


def set_aside(
    dataset: AnyDataset, groups: np.ndarray, fraction: float, seed: int
) -> tuple[AnyDataset, AnyDataset]:
    """Set a fraction of the images aside, the same fraction of each group.

    Args:
        dataset: the images.
        groups: int array `(len(dataset),)`, the group of each image.
        fraction: fraction of each group, in 0..1. Of a group with two images or more, at least one
            image is set aside and one stays.
        seed: random seed of the choice.

    Returns:
        The images that stay, and those that are set aside, both in their order.

    Raises:
        ValueError: if no group has two images.
    """
    rng = np.random.default_rng(seed)
    aside: list[int] = []
    for group, count in enumerate(np.bincount(groups)):
        indices = rng.permutation(np.flatnonzero(groups == group))
        aside += indices[: min(count - 1, max(1, round(count * fraction)))].tolist()
    if not aside:
        raise ValueError(
            "No image can be set aside for validation, since each class has a single image. Add "
            "images, or a validation split."
        )
    return dataset.take(np.setdiff1d(np.arange(len(groups)), aside)), dataset.take(sorted(aside))


def evaluation_split(splits: Mapping[str, Sequence[Any]]) -> str:
    """Return the name of the split to evaluate on: test before validation before train."""
    return next((name for name in ("test", "validation") if splits.get(name)), "train")
