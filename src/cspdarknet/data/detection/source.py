"""Training batches for object detection."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from cspdarknet._image_size import ImageSize, of_sides, sides, to_text
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.detection.transforms import DetectionSample
from cspdarknet.data.pipeline import TrainingSource
from cspdarknet.images import RGB, ImageError, pixels_of
from cspdarknet.tiles import Window
from cspdarknet.yolox.letterbox import fitted_size, gray_image, resize

# An image resized to fit a square, and the factor of resizing.
Resized = tuple[np.ndarray, float]
# An image file, and the part of it that is read; `None` for all of it.
Part = tuple[Path, Window | None]
# Boxes with a shorter side are dropped, in pixels: nothing of their objects is visible.
MIN_SIDE = 1.0


class ImageCache:
    """Cache of decoded images in memory, up to a number of bytes.

    Images are asked for in random order, so that the first ones are as good to keep as any. All of
    them have one size: asking for another size clears the cache.

    Args:
        capacity: number of bytes.
    """

    def __init__(self, capacity: int = 1_000_000_000) -> None:
        self.capacity = capacity
        self._lock = Lock()
        self._size: ImageSize = 0
        self._images: dict[Part, Resized] = {}
        self._room = capacity

    def get(
        self, part: Part, size: ImageSize, read: Callable[[Part, ImageSize], Resized]
    ) -> Resized:
        """Return the result of `read(part, size)`, from the cache where possible."""
        with self._lock:
            if self._size != size:
                self._size, self._images, self._room = size, {}, self.capacity
            cached = self._images.get(part)
        if cached is not None:
            return cached
        resized = read(part, size)
        self.add(part, size, resized)
        return resized

    def add(self, part: Part, size: ImageSize, resized: Resized) -> bool:
        """Keep an image if there is room for it, and return whether there is."""
        with self._lock:
            fits = resized[0].nbytes <= self._room and self._size == size
            if fits and part not in self._images:
                self._images[part] = resized
                self._room -= resized[0].nbytes
            return fits


@dataclass(frozen=True)
class DetectionSource(TrainingSource):
    """Data source of `training_batches` for a detector. Ignored boxes are not trained on.

    It has the attributes of `TrainingSource`, and these.

    Attributes:
        max_boxes: number of boxes that each image is padded to; of more boxes, the largest are
            kept.
        cache: keeps decoded images, of which a mosaic needs four; it does not change the result.

    Example:
        >>> Image.new("RGB", (80, 60)).save("cell.png")
        >>> box, label = np.array([[8, 6, 40, 30]], "float32"), np.array([0], "int32")
        >>> paths = (Path("cell.png"),)
        >>> dataset = DetectionDataset(("cell",), paths, (box,), (label,), (label > 0,))
        >>> plain = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)
        >>> source = DetectionSource(dataset, plain, batch_size=1, max_boxes=2)
        >>> image, boxes, labels, weight = source.load(0, 160, np.random.default_rng(0))
        >>> image.shape, boxes[0], labels
        ((160, 160, 3), array([16., 12., 80., 60.], dtype=float32), array([ 0, -1], dtype=int32))
    """

    dataset: DetectionDataset
    augmentation: DetectionAugmentation
    max_boxes: int = 120
    cache: ImageCache = field(default_factory=ImageCache)

    def load(
        self, index: int, size: ImageSize, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.float32]:
        """Return one augmented image, its padded boxes and class ids (-1 for padding), its weight.

        The weight is 0 if the image could not be read. A partner in a mosaic that cannot be read
        leaves a gray gap.
        """
        sample = self._read(index, size)
        weight = np.float32(sample is not None)
        if sample is None:
            sample = self._gray_sample(size)
        else:

            def partner() -> DetectionSample:
                index = int(rng.integers(len(self.dataset)))
                return self._read(index, size) or self._gray_sample(size)

            sample = self.augmentation.sample(sample, partner, size, rng)
        image = sample.image
        if self.channels != RGB:  # images of 8 bits and of more, in one batch
            image = image.astype("float32")
        return image, *self._padded_targets(sample), weight

    def finish(
        self,
        stacked: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Turn stacked samples into `(images, {"boxes", "classes"}, weights)` of one image size."""
        images, boxes, labels, weights = stacked
        height, width = images.shape[1:3]
        size = of_sides(height, width)
        new_size = self.augmentation.image_size(size, rng)
        if new_size != size:
            new_height, new_width = sides(new_size)
            images = np.stack([resize(image, new_height, new_width) for image in images])
            boxes = boxes * np.array([new_width / width, new_height / height] * 2, "float32")
        return images.astype("float32"), {"boxes": boxes, "classes": labels}, weights

    def _read(self, index: int, size: ImageSize) -> DetectionSample | None:
        """Read an image, resized to fit the size, with the boxes to train on."""
        path = self.dataset.paths[index]
        try:
            part = path, self.dataset.window(index)
            image, ratio = self.cache.get(part, size, self._decoded)
        except ImageError as error:
            self.failures[path] = str(error)
            return None
        trained = ~self.dataset.ignored[index]
        boxes, labels = self.dataset.boxes[index][trained], self.dataset.labels[index][trained]
        return DetectionSample(image, boxes * np.float32(ratio), labels)

    def _decoded(self, part: Part, size: ImageSize) -> Resized:
        """Return an image that is not in memory: from the disk, or decoded."""
        path, window = part

        def read() -> Resized:
            image = pixels_of(path, self.channels)
            self._keep_other_parts(image, part, size)
            return resized_part(image, window, size)

        if self.disk_cache is None:
            return read()
        return self.disk_cache.get(path, _settings(window, size), read, self.channels)

    def _keep_other_parts(self, image: np.ndarray, part: Part, size: ImageSize) -> None:
        """Keep the other tiles of a decoded image, too, so that it is decoded once."""
        path, window = part
        for other in self.dataset.windows_of(path):
            if other == window:
                continue
            if self.disk_cache is not None:
                read = functools.partial(resized_part, image, other, size)
                self.disk_cache.get(path, _settings(other, size), read, self.channels)
            elif not self.cache.add((path, other), size, resized_part(image, other, size)):
                return

    def _gray_sample(self, size: ImageSize) -> DetectionSample:
        gray = gray_image(size, self.channels)
        return DetectionSample(gray, np.zeros((0, 4), "float32"), np.zeros(0, "int32"))

    def _padded_targets(self, sample: DetectionSample) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes and class ids in arrays of a fixed size."""
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        largest_first = np.argsort(-sides.prod(axis=1), kind="stable")
        visible = sides[largest_first].min(axis=1) > MIN_SIDE
        kept = largest_first[visible][: self.max_boxes]
        boxes = np.zeros((self.max_boxes, 4), "float32")
        labels = np.full(self.max_boxes, -1, "int32")
        boxes[: len(kept)], labels[: len(kept)] = sample.boxes[kept], sample.labels[kept]
        return boxes, labels


def resized_part(image: np.ndarray, window: Window | None, size: ImageSize) -> Resized:
    """Resize an image, or a part of it, to fit a size, as a detector's letterbox does.

    The image is one that was decoded in full: a JPEG that is decoded at a fraction of its size is
    smoother than the images that the trained detector receives.
    """
    if window is not None:
        image = image[window.top : window.bottom, window.left : window.right]
    height, width, ratio = fitted_size(image.shape[0], image.shape[1], size)
    return resize(image, height, width), ratio


def _settings(window: Window | None, size: ImageSize) -> str:
    """Return what is asked of the decoder, for the cache on disk."""
    asked = f"letterbox {to_text(size)}"
    return asked if window is None else f"{asked} {tuple(window)}"
