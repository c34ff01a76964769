"""Feed a network: batches for training (endless order, by Grain), and for evaluation."""

from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from cspdarknet._extras import require
from cspdarknet.data.classification.augment import GRAY, ClassificationAugmentation
from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.images import ImageError, center_crop, open_image

PREFETCHED_BATCHES = 4
Loaded = TypeVar("Loaded")


class Source(Protocol):
    """What `training_batches` needs: loads single photos, and finishes batches of them."""

    @property
    def photos(self) -> Sized:
        """The photos."""

    @property
    def batch_size(self) -> int:
        """Photos in a batch, of all processes together."""

    @property
    def seed(self) -> int:
        """Seed of order and changes."""

    @property
    def workers(self) -> int:
        """Number of threads."""

    @property
    def process(self) -> tuple[int, int]:
        """Index of this process, and how many there are."""

    def load(self, index: int, size: int, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return one photo as arrays, to be stacked with those of the others."""

    def finish(self, element: Any, rng: np.random.Generator) -> tuple[Any, ...]:
        """Turn stacked arrays into a batch `(images, targets, weights)`."""


@dataclass(frozen=True)
class ClassificationSource:
    """What the batches of a training are made of.

    Attributes:
        photos: the photos.
        augmentation: how they are changed.
        batch_size: photos in a batch, of all processes together.
        seed: of order and changes.
        class_weights: weight of each class in the loss.
        workers: number of threads that decode.
        process: index of this process, and how many there are: each gets its share of a batch.
        failures: files that could not be read on the way, and why; filled while batches are read.
    """

    photos: ClassificationDataset
    augmentation: ClassificationAugmentation
    batch_size: int
    seed: int = 0
    class_weights: np.ndarray | None = None
    workers: int = 2
    process: tuple[int, int] = (0, 1)
    failures: dict[Path, str] = field(default_factory=dict)

    @property
    def no_mixing(self) -> "ClassificationSource":
        """The same without mixtures of photos."""
        return replace(self, augmentation=replace(self.augmentation, mix=0.0))

    def load(self, index: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Return one changed photo and its label; -1 marks a file that could not be read."""
        path = self.photos.paths[index]
        try:
            # The smallest crop of a photo of this size still has the pixels of the result.
            image = open_image(path, 2 * round(size / self.augmentation.crop_area[0] ** 0.5))
        except ImageError as error:
            self.failures[path] = str(error)
            return np.full((size, size, 3), GRAY, "uint8"), -1
        return self.augmentation.photo(image, size, rng), int(self.photos.labels[index])

    def finish(
        self, element: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn photos and labels into `(images, labels, weights)`; a missing photo weighs 0."""
        images, labels = element
        one_hot = (labels[:, None] == np.arange(len(self.photos.class_names))).astype("float32")
        if self.class_weights is not None:
            one_hot *= self.class_weights
        # Mixed with their weights, so that each class keeps its own in a mixture.
        images, mixed = self.augmentation.batch((images.astype("float32"), one_hot), rng)
        weights = mixed.sum(axis=1)
        return images, mixed / np.maximum(weights, 1e-12)[:, None], weights


def training_batches(
    source: Source, size: int, start: int, steps: int
) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Return batches `start` to `start + steps` of the endless, shuffled sequence of batches.

    Each pass over the photos has an order of its own. A batch is the same whenever it is asked
    for, so that an interrupted training can go on where it stopped.

    Args:
        source: a `ClassificationSource` or another that loads photos and finishes batches.
        size: side of the images, in pixels.
        start: index of the first batch.
        steps: how many.

    Returns:
        Iterator over what the source makes of a batch. A `ClassificationSource` gives `(images, labels,
        weights)`: float32 arrays `(batch, size, size, 3)` in 0..255, `(batch, classes)` and
        `(batch,)`.

    Raises:
        ImportError: if Grain is missing.
    """
    grain: Any = require("grain", "train", "Training")
    process, processes = source.process
    share = source.batch_size // processes
    photos = (
        grain.MapDataset.range(len(source.photos))
        .seed(source.seed)
        .shuffle()
        .repeat()
        .random_map(lambda index, rng: source.load(int(index), size, rng))
    )
    batches = photos[process::processes].batch(share).random_map(source.finish)
    options = grain.ReadOptions(
        num_threads=source.workers, prefetch_buffer_size=max(PREFETCHED_BATCHES, source.workers)
    )
    yield from batches[start : start + steps].to_iter_dataset(options)


def evaluation_batches(
    paths: Sequence[Path], size: int, batch_size: int, workers: int = 2
) -> Iterator[tuple[np.ndarray, list[ImageError | None]]]:
    """Read photos for evaluation, in order, the next batch while this one is used.

    Args:
        paths: the files.
        size: side of the square that is shown of each photo, in pixels.
        batch_size: photos in a batch; the last one may have fewer.
        workers: number of threads that decode.

    Returns:
        Iterator over a float32 array `(batch, size, size, 3)` in 0..255, and for each photo the
        error if it could not be read (its pixels are then gray).
    """

    def load(path: Path) -> tuple[np.ndarray, ImageError | None]:
        try:
            return center_crop(open_image(path, shorter_side=2 * size), size), None
        except ImageError as error:
            return np.full((size, size, 3), GRAY, "uint8"), error

    for loaded in read_ahead(load, paths, batch_size, workers):
        images = np.stack([image for image, _ in loaded]).astype("float32")
        yield images, [error for _, error in loaded]


def read_ahead(
    load: Callable[[Path], Loaded], paths: Sequence[Path], batch_size: int, workers: int
) -> Iterator[list[Loaded]]:
    """Load files in batches, in order, the next batch while this one is used."""
    with ThreadPoolExecutor(workers) as pool:

        def submit(start: int) -> list[Any]:
            return [pool.submit(load, path) for path in paths[start : start + batch_size]]

        waiting = submit(0)
        for start in range(0, len(paths), batch_size):
            ready, waiting = waiting, submit(start + batch_size)
            yield [future.result() for future in ready]
