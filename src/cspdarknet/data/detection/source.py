"""What the batches of a detector's training are made of."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import numpy as np

from cspdarknet.data.detection.augment import DetectionAugmentation, DetectionSample
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.images import ImageError, read_image
from cspdarknet.yolox.letterbox import PADDING, fitted, resize

# A photo resized to fit a square, and the ratio of resizing.
Fitted = tuple[np.ndarray, float]
# Boxes with a shorter side are dropped: there is nothing of them to see.
SHORTEST_SIDE = 1.0


class ImageCache:
    """Keep decoded photos in memory, as many as there is room for.

    Photos are asked for in random order, so that those that came first are as good as any. All
    of them are of one size: asking for another forgets them.

    Args:
        capacity: room in bytes.
    """

    def __init__(self, capacity: int = 1_000_000_000) -> None:
        self.capacity = capacity
        self._lock = Lock()
        self._size = 0
        self._photos: dict[Path, Fitted] = {}
        self._room = capacity

    def get(self, path: Path, size: int, read: Callable[[Path, int], Fitted]) -> Fitted:
        """Return what `read(path, size)` gives; what it raises is not kept."""
        with self._lock:
            if self._size != size:
                self._size, self._photos, self._room = size, {}, self.capacity
            kept = self._photos.get(path)
        if kept is not None:
            return kept
        photo = read(path, size)
        with self._lock:
            fits = photo[0].nbytes <= self._room and self._size == size
            if fits and path not in self._photos:
                self._photos[path] = photo
                self._room -= photo[0].nbytes
        return photo


@dataclass(frozen=True)
class DetectionSource:
    """What the batches of a detector's training are made of, for `training_batches`.

    Attributes:
        photos: the photos with their boxes; ignored boxes are not trained on.
        augmentation: how they are changed.
        batch_size: photos in a batch, of all processes together.
        seed: of order and changes.
        max_boxes: places for boxes in each image; of more boxes, the largest are kept.
        workers: number of threads that decode and change photos.
        process: index of this process, and how many there are: each gets its share of a batch.
        failures: files that could not be read on the way, and why; filled while batches are read.
        cache: keeps decoded photos, of which a mosaic reads four; it changes no result.

    Example:
        >>> Image.new("RGB", (80, 60)).save("cell.png")
        >>> box, label = np.array([[8, 6, 40, 30]], "float32"), np.array([0])
        >>> paths = (Path("cell.png"),)
        >>> photos = DetectionDataset(("cell",), paths, (box,), (label,), (label > 0,))
        >>> plain = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)
        >>> source = DetectionSource(photos, plain, batch_size=1, max_boxes=2)
        >>> image, boxes, labels, weight = source.load(0, 160, np.random.default_rng(0))
        >>> image.shape, boxes[0], labels
        ((160, 160, 3), array([16., 12., 80., 60.], dtype=float32), array([ 0, -1]))
    """

    photos: DetectionDataset
    augmentation: DetectionAugmentation
    batch_size: int
    seed: int = 0
    max_boxes: int = 120
    workers: int = 2
    process: tuple[int, int] = (0, 1)
    failures: dict[Path, str] = field(default_factory=dict)
    cache: ImageCache = field(default_factory=ImageCache)

    @property
    def no_mixing(self) -> "DetectionSource":
        """The same without mosaics and mixtures, for the last epochs; it shares the cache."""
        return replace(self, augmentation=self.augmentation.no_mixing)

    def load(
        self, index: int, size: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.float32]:
        """Return one changed photo: image, boxes, labels (-1 in unused places) and weight.

        The weight is 0 where the photo could not be read. In a mosaic, a partner that cannot be
        read leaves its place gray.
        """
        photo = self._read(index, size)
        if photo is None:
            changed, weight = _nothing(size), 0
        else:

            def partner() -> DetectionSample:
                return self._read(int(rng.integers(len(self.photos))), size) or _nothing(size)

            changed, weight = self.augmentation.photo(photo, partner, size, rng), 1
        boxes, labels = self._in_places(changed)
        return changed.image, boxes, labels, np.float32(weight)

    def finish(
        self,
        element: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Turn photos into `(images, {"boxes", "classes"}, weights)`, of a side of the batch."""
        images, boxes, labels, weights = element
        size = images.shape[1]
        side = self.augmentation.side(size, rng)
        if side != size:
            images = np.stack([resize(image, side, side) for image in images])
            boxes = boxes * np.float32(side / size)
        targets = {"boxes": boxes, "classes": labels.astype("float32")}
        return images.astype("float32"), targets, weights

    def _read(self, index: int, size: int) -> DetectionSample | None:
        """Read a photo, resized to fit the square, with the boxes to train on."""
        path = self.photos.paths[index]
        try:
            image, ratio = self.cache.get(path, size, read_fitted)
        except ImageError as error:
            self.failures[path] = str(error)
            return None
        trained = ~self.photos.ignored[index]
        boxes, labels = self.photos.boxes[index][trained], self.photos.labels[index][trained]
        return DetectionSample(image, boxes * np.float32(ratio), labels)

    def _in_places(self, photo: DetectionSample) -> tuple[np.ndarray, np.ndarray]:
        """Put boxes and labels into arrays of a fixed size."""
        sides = photo.boxes[:, 2:] - photo.boxes[:, :2]
        largest_first = np.argsort(-sides.prod(axis=1), kind="stable")
        seen = largest_first[sides[largest_first].min(axis=1) > SHORTEST_SIDE][: self.max_boxes]
        boxes = np.zeros((self.max_boxes, 4), "float32")
        labels = np.full(self.max_boxes, -1, "int64")
        boxes[: len(seen)], labels[: len(seen)] = photo.boxes[seen], photo.labels[seen]
        return boxes, labels


def read_fitted(path: Path, size: int) -> Fitted:
    """Read a photo and resize it to fit a square, as a detector will see it.

    All of a JPEG is decoded: at a fraction of its size it would be smoother than the photos that
    the trained detector is given.
    """
    image = read_image(path)
    height, width, ratio = fitted(image.shape[0], image.shape[1], size)
    return resize(image, height, width), ratio


def _nothing(size: int) -> DetectionSample:
    gray = np.full((size, size, 3), PADDING, "uint8")
    return DetectionSample(gray, np.zeros((0, 4), "float32"), np.zeros(0, "int64"))
