"""Find objects in photos and videos, keep what is found, and draw it into copies of them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cspdarknet._files import write_whole
from cspdarknet.images import ImageError, ImageFile, open_image
from cspdarknet.inference.video import frame_rate, read_frames, write_video
from cspdarknet.inference.writers import Found
from cspdarknet.visualize import draw_boxes

if TYPE_CHECKING:
    from cspdarknet.inference.predictor import Predictor


class ObjectDetector:
    """Goes through photos and videos; one that cannot be read does not stop it.

    Args:
        predictor: of a detector.
        class_names: names of its classes.
        out: folder for copies with the boxes drawn in, each of which appears whole or not at all;
            `None` for no copies.

    Attributes:
        found: what was found, in order.
        failures: why files were left out.
    """

    def __init__(
        self,
        predictor: "Predictor",
        class_names: Sequence[str],
        out: Path | None = None,
    ) -> None:
        self.predictor = predictor
        self.class_names = class_names
        self.out = out
        self.found: list[Found] = []
        self.failures: list[str] = []

    def detect_images(
        self, photos: Sequence[ImageFile], advance: Callable[[int], object] = int
    ) -> None:
        """Find objects in photos; `advance` is called after each of them."""
        results = self.predictor.stream(photo.path for photo in photos)
        for photo, (path, found) in zip(photos, results, strict=True):
            try:
                if isinstance(found, ImageError):
                    raise found
                item = Found(path, found)
                self._draw_photo(photo, item)
                self.found.append(item)
            except ImageError as error:
                self.failures.append(str(error))
            advance(1)

    def _draw_photo(self, photo: ImageFile, item: Found) -> None:
        if self.out is not None:
            drawn = draw_boxes(open_image(photo.path), item.detections, self.class_names)
            target = self._target(photo.key, (".jpg", ".jpeg", ".png"))
            write_whole(target, lambda part: drawn.save(part, quality=92))

    def detect_video(self, path: Path, advance: Callable[[int], object] = int) -> None:
        """Find objects in the frames of a video; `advance` is called after each of them."""
        found: list[Found] = []

        def frames() -> Iterator[np.ndarray]:
            results = self.predictor.stream(read_frames(path))
            for number, (frame, detections) in enumerate(results):
                found.append(Found(path, detections, number))
                if self.out is not None:
                    frame = np.asarray(draw_boxes(frame, detections, self.class_names))
                yield frame
                advance(1)

        try:
            if self.out is None:
                for _ in frames():
                    pass
            else:
                target = self._target(Path(path.name), (".mp4",))
                write_video(target, frames(), frame_rate(path))
            self.found += found
        except ImageError as error:
            self.failures.append(str(error))

    def _target(self, key: Path, suffixes: tuple[str, ...]) -> Path:
        """Return the place of a copy: of the same name, and a suffix that can be written."""
        assert self.out is not None
        name = key.name if key.suffix.lower() in suffixes else key.name + suffixes[0]
        target = self.out / key.with_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
