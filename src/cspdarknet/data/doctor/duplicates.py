"""Duplicates and near-duplicates among images, within and across splits."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cspdarknet.data.doctor.facts import THUMBNAIL_SIDE, ImageFacts

# Near-duplicates have hashes that differ in at most this number of bits, ...
MAX_BITS = 4
# ... and thumbnails whose mean absolute difference is at most this, of 255, after their brightness
# is equalized. It tells images of large plain areas apart, whose hashes are much alike.
MAX_DIFFERENCE = 6.0
# Number of images of a band that each is compared with. Only thousands of images of the same plain
# background have bands of more.
MAX_NEIGHBORS = 500


class DatasetImage(NamedTuple):
    """An image of a dataset.

    Attributes:
        path: the image file.
        split: the split that it is in.
        class_name: its class; empty in a dataset for detection.
    """

    path: Path
    split: str
    class_name: str = ""


class DuplicateGroup(NamedTuple):
    """Images that are the same.

    Attributes:
        images: the images.
        is_exact: whether the files have the same bytes. Otherwise they look almost the same.
    """

    images: tuple[DatasetImage, ...]
    is_exact: bool

    @property
    def leaks(self) -> bool:
        """Whether the images are in several splits, so that metrics are too high."""
        return len({image.split for image in self.images}) > 1

    @property
    def conflicts(self) -> bool:
        """Whether the images are of several classes."""
        return len({image.class_name for image in self.images}) > 1


def find_duplicates(
    images: Sequence[DatasetImage], facts: Mapping[Path, ImageFacts]
) -> list[DuplicateGroup]:
    """Group the images that are the same.

    Args:
        images: the images.
        facts: facts about each of the files. Those that cannot be decoded are passed over.

    Returns:
        The groups of equal files; and the groups of similar images, in which equal files are
        represented by the first of them. Images of a single color are not compared with others.

    Example:
        >>> from cspdarknet.data.doctor.facts import read_facts
        >>> for name in ("a", "b"):
        ...     Image.new("RGB", (80, 60), "navy").save(f"{name}.png")
        >>> images = [DatasetImage(Path("a.png"), "train"), DatasetImage(Path("b.png"), "test")]
        >>> (group,) = find_duplicates(images, {i.path: read_facts(i.path) for i in images})
        >>> group.is_exact, group.leaks
        (True, True)
    """
    by_digest: dict[str, list[DatasetImage]] = defaultdict(list)
    for image in images:
        if digest := facts[image.path].digest:
            by_digest[digest].append(image)
    exact = [DuplicateGroup(tuple(group), True) for group in by_digest.values() if len(group) > 1]
    first = [group[0] for group in by_digest.values() if not facts[group[0].path].is_uniform]
    hashes = np.array([facts[image.path].hash for image in first], "uint64")
    pixels = b"".join(facts[image.path].thumbnail for image in first)
    thumbnails = np.frombuffer(pixels, "uint8").reshape(-1, THUMBNAIL_SIDE**2, 3)
    similar: dict[int, list[DatasetImage]] = defaultdict(list)
    for image, label in zip(first, similar_images(hashes, thumbnails).tolist(), strict=True):
        similar[label].append(image)
    groups = [DuplicateGroup(tuple(group), False) for group in similar.values() if len(group) > 1]
    return exact + groups


def similar_images(hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Return the group of each image: the index of the first image that it is similar to.

    Similarity is transitive here: the frames of a slow video are one group.

    Two hashes that differ in at most `MAX_BITS` bits are equal in one of `MAX_BITS + 1` bands of
    bits. For each band, images are sorted by it and compared with their next, second next and so on
    neighbors of the same band, all of them at once. Within a band they are sorted by the contrast
    of their upper and lower half, which differs at most as much as their thumbnails.

    Args:
        hashes: uint64 array `(n,)`.
        thumbnails: uint8 array `(n, pixels, 3)`.
    """
    labels = np.arange(len(hashes))
    thumbnails = thumbnails.astype("float32")
    thumbnails -= thumbnails.mean(axis=(1, 2), keepdims=True)
    half = thumbnails.shape[1] // 2
    contrasts = (thumbnails[:, :half].sum((1, 2)) - thumbnails[:, half:].sum((1, 2))) / (
        3 * thumbnails.shape[1]
    )
    edges = np.linspace(0, 64, MAX_BITS + 2).astype("uint64")
    for low, high in itertools.pairwise(edges):
        band = hashes >> low & np.uint64((1 << int(high - low)) - 1)
        order = np.lexsort([contrasts, band])
        for a, b in _neighbors(band[order], contrasts[order]):
            a, b = order[a], order[b]
            apart = labels[a] != labels[b]
            a, b = a[apart], b[apart]
            near = np.flatnonzero(_bit_counts(hashes[a] ^ hashes[b]) <= MAX_BITS)
            a, b = a[near], b[near]
            alike = abs(thumbnails[a] - thumbnails[b]).mean(axis=(1, 2)) <= MAX_DIFFERENCE
            if alike.any():
                labels = join_labels(labels, a[alike], b[alike])
    return labels


def _neighbors(band: np.ndarray, contrasts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of images at each distance that are of the same band and similar contrast.

    Args:
        band: sorted integer array `(n,)`.
        contrasts: float array `(n,)`, sorted within each band.
    """
    ends = np.searchsorted(band, band, side="right")
    starts = np.arange(len(band))
    for offset in range(1, MAX_NEIGHBORS + 1):
        starts = starts[starts + offset < ends[starts]]
        gaps = contrasts[starts + offset] - contrasts[starts]
        starts = starts[gaps <= MAX_DIFFERENCE + 1e-3]
        if not len(starts):
            return
        yield starts, starts + offset


def join_labels(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Join the groups of pairs of images; the lowest label of a group counts."""
    while True:
        joined = labels.copy()
        lowest = np.minimum(labels[a], labels[b])
        for ends in (a, b):
            np.minimum.at(joined, labels[ends], lowest)
            np.minimum.at(joined, ends, lowest)
        joined = joined[joined]
        if np.array_equal(joined, labels):
            return labels
        labels = joined


def _bit_counts(values: np.ndarray) -> np.ndarray:
    """Return the number of bits that are set in each uint64."""
    return np.unpackbits(values.view("uint8").reshape(-1, 8), axis=1).sum(axis=1)
