"""Training batches: an endless, reproducible sequence, loaded in threads by Grain."""

import abc
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from cspdarknet._extras import require
from cspdarknet._image_size import ImageSize
from cspdarknet.data.dataset import ImageDataset
from cspdarknet.data.disk_cache import DiskCache

PREFETCHED_BATCHES = 4


class Augmentation(Protocol):
    """Random changes of training images."""

    @property
    def no_mixing(self) -> Self:
        """The same changes without mixtures of several images."""


@dataclass(frozen=True)
class TrainingSource(abc.ABC):
    """Data source of `training_batches`: a dataset, its augmentation and the batch settings.

    Attributes:
        dataset: images with annotations.
        augmentation: random changes of the images.
        batch_size: number of images in a batch, over all processes.
        seed: random seed of the order and of the augmentation.
        workers: number of threads that decode and augment images.
        process: index of this process and the number of processes: each gets an equal fraction of
            every batch.
        disk_cache: keeps decoded images on disk; it does not change the result.
        channels: number of channels of the images.
        failures: image files that could not be read, and why; filled while batches are read.
    """

    dataset: ImageDataset
    augmentation: Augmentation
    batch_size: int
    seed: int = 0
    workers: int = 2
    process: tuple[int, int] = (0, 1)
    disk_cache: DiskCache | None = None
    channels: int = 3
    failures: dict[Path, str] = field(default_factory=dict)

    @property
    def no_mixing(self) -> Self:
        """The same source without mosaic, MixUp and CutMix."""
        return replace(self, augmentation=self.augmentation.no_mixing)

    @abc.abstractmethod
    def load(self, index: int, size: ImageSize, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return one augmented image and its targets, of equal shapes for all images."""

    @abc.abstractmethod
    def finish(self, stacked: Any, rng: np.random.Generator) -> tuple[Any, ...]:
        """Turn stacked images and targets into a batch `(images, targets, weights)`."""


def training_batches(
    source: TrainingSource, size: ImageSize, start: int, steps: int
) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Yield batches `start` to `start + steps` of an endless, shuffled sequence.

    Each pass over the dataset has an order of its own. A batch depends on the source and its
    index only, so that an interrupted training continues with the same batches.

    Args:
        source: a `ClassificationSource` or `DetectionSource`.
        size: side of the square images in pixels, or height and width.
        start: index of the first batch.
        steps: number of batches.

    Yields:
        `(images, targets, weights)`, as the source's `finish` returns them: float32 images
        `(batch, height, width, channels)` in 0..255, the targets of the task, and float32 weights
        `(batch,)`, which are 0 for images that could not be read.

    Raises:
        ImportError: if Grain is not installed.
    """
    grain: Any = require("grain", "train", "Training")
    process, processes = source.process
    count = len(source.dataset)
    images = (
        grain.MapDataset.range(count)
        .seed(source.seed)
        .shuffle()
        # An endless repetition has no length that Python can hold.
        .repeat(math.ceil((start + steps) * source.batch_size / count))
        .random_map(lambda index, rng: source.load(int(index), size, rng))
    )
    batches = images[process::processes].batch(source.batch_size // processes)
    options = grain.ReadOptions(
        num_threads=source.workers, prefetch_buffer_size=max(PREFETCHED_BATCHES, source.workers)
    )
    batches = batches.random_map(source.finish)[start : start + steps]
    yield from batches.to_iter_dataset(options)
