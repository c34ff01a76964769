"""Near duplicates among images: those whose vectors are alike, within and across splits."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cspdarknet._arguments import check_fraction
from cspdarknet.analysis.embeddings import Embeddings
from cspdarknet.analysis.neighbors import unit_rows
from cspdarknet.data.doctor.duplicates import DatasetImage, DuplicateGroup, join_labels

SIMILARITY = 0.97
ROWS = 1024  # compared with all others at once
MAX_COSINES = 2**25  # in memory at once
ROUNDING = 1e-5  # of a cosine in float32


@dataclass(frozen=True)
class SimilarGroup:
    """Images that look alike to a model.

    Attributes:
        images: the images. Each is similar to another one of the group, but not to all.
        similarity: the highest cosine between two of them.
    """

    images: tuple[DatasetImage, ...]
    similarity: float

    @property
    def leaks(self) -> bool:
        """Whether the images are in several splits, so that metrics may be too high."""
        return DuplicateGroup(self.images, False).leaks

    @property
    def conflicts(self) -> bool:
        """Whether the images are of several classes."""
        return DuplicateGroup(self.images, False).conflicts


def find_similar(
    embeddings: Embeddings,
    images: Sequence[DatasetImage] | None = None,
    similarity: float = SIMILARITY,
    progress: Callable[[int], object] | None = None,
) -> list[SimilarGroup]:
    """Group the images whose vectors have a high cosine. All pairs of images are compared.

    Args:
        embeddings: the vectors.
        images: path, split and class of each of them; `None` for images of one split.
        similarity: lowest cosine of near duplicates. It depends on the model: look at the pictures
            of the groups, and raise it if they are different images.
        progress: called with a number of images that have been compared.

    Returns:
        The groups, the most similar one first.

    Raises:
        ValueError: if `similarity` is not in 0..1, or `images` are more or fewer.

    Example:
        >>> vectors = np.array([[1, 0.0], [0, 1], [1, 0.01]])
        >>> (group,) = find_similar(Embeddings(vectors, ["a.jpg", "b.jpg", "copy.jpg"]))
        >>> [image.path.name for image in group.images], group.leaks
        (['a.jpg', 'copy.jpg'], False)
    """
    check_fraction("similarity", similarity)
    described = described_images(embeddings, images)
    labels, best = np.arange(len(embeddings)), np.full(len(embeddings), -1.0)
    for first, cosines in cosine_rows(embeddings.vectors):
        # Each pair once: the diagonal and what is below it has been compared.
        rows, columns = np.nonzero(cosines >= similarity - ROUNDING)
        rows, columns, found = rows + first, columns, cosines[rows, columns]
        above = columns > rows
        rows, columns, found = rows[above], columns[above], found[above]
        if len(rows):
            for ends in (rows, columns):
                np.maximum.at(best, ends, found)
            labels = join_labels(labels, rows, columns)
        if progress:
            progress(len(cosines))
    members: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(labels.tolist()):
        members[label].append(row)
    groups = [
        SimilarGroup(tuple(described[i] for i in rows), float(min(best[rows].max(), 1)))
        for rows in members.values()
        if len(rows) > 1
    ]
    return sorted(groups, key=lambda group: -group.similarity)


def described_images(
    embeddings: Embeddings, images: Sequence[DatasetImage] | None
) -> Sequence[DatasetImage]:
    """Return path, split and class of each image.

    Raises:
        ValueError: if there are more or fewer than vectors.
    """
    if images is None:
        return [DatasetImage(path, "") for path in embeddings.paths]
    if len(images) != len(embeddings):
        raise ValueError(
            f"`images` must be those of the {len(embeddings)} vectors. Received: {len(images)}"
        )
    return images


def cosine_rows(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the cosines of some rows and all others, with the number of the first of these rows."""
    unit = unit_rows(vectors)
    count = max(1, min(ROWS, MAX_COSINES // max(1, len(vectors))))
    for first in range(0, len(vectors), count):
        yield first, unit[first : first + count] @ unit.T
