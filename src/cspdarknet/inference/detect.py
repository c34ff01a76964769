"""`ObjectDetector`: detection of objects in image files and videos, with annotated copies."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet.detections import Detections
from cspdarknet.images import ImageError, ImageFile
from cspdarknet.inference.copies import IMAGE_SUFFIXES, VIDEO_SUFFIXES, CopyFolder
from cspdarknet.inference.result_formats import FileDetections
from cspdarknet.inference.video import frame_rate, read_frames, write_video
from cspdarknet.visualize import draw_boxes, save_picture

if TYPE_CHECKING:
    from cspdarknet.inference.predictor import Predictor
    from cspdarknet.inference.result_folder import ResultFolder


class ObjectDetector:
    """Detects objects in image files and videos, and draws them into copies.

    A file that cannot be read does not stop it.

    Args:
        predictor: a `Predictor` of a detector.
        out: folder, or `CopyFolder`, for copies with the boxes drawn in, which are written
            atomically; `None` for no copies.
        results: where the detections go, such as a `ResultFolder`; `None` for a list.

    Attributes:
        results: the `FileDetections` of the images and frames, in order.
        failures: why files were left out.

    Example:
        >>> from cspdarknet.images import find_images
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> predictor = Predictor("yolox_nano_bccd", runtime="keras", image_size=64)
        >>> detector = ObjectDetector(predictor, "copies")
        >>> detector.detect_images(find_images("sea.png"))
        >>> detector.results[0].detections.image_size, Path("copies/sea.png").exists()
        ((48, 64), True)
    """

    def __init__(
        self,
        predictor: "Predictor",
        out: str | Path | CopyFolder | None = None,
        results: "list[FileDetections] | ResultFolder | None" = None,
    ) -> None:
        if predictor.info.task != "detection" or predictor.info.raw_outputs:
            raise ValueError(
                "`predictor` must be the Predictor of a detector. Received: a Predictor for "
                f"{'raw outputs' if predictor.info.raw_outputs else predictor.info.task}"
            )
        self.predictor = predictor
        self.copies = CopyFolder(out) if isinstance(out, (str, Path)) else out
        self.results: Any = [] if results is None else results
        self.failures: list[str] = []

    def detect_images(
        self, files: Sequence[ImageFile], advance: Callable[[int], object] = int
    ) -> None:
        """Detect objects in image files.

        Args:
            files: the files, as of `find_images`.
            advance: called with 1 after each file, for a progress bar.
        """
        if self.copies is not None:
            self.copies.add((file.key for file in files), IMAGE_SUFFIXES)
        draws = self.copies is not None
        paths = (file.path for file in files)
        with closing(self.predictor.stream(paths, with_pixels=draws)) as stream:
            for file, (path, detections, *pixels) in zip(files, stream, strict=True):
                if isinstance(detections, ImageError):
                    self.failures.append(str(detections))
                else:
                    if self.copies is not None:
                        drawn = draw_boxes(pixels[0], _in_picture(detections, pixels[0]))
                        save_picture(drawn, self.copies.prepare(file.key))
                    self.results.append(FileDetections(path, detections))
                advance(1)

    def detect_video(self, path: Path, advance: Callable[[int], object] = int) -> None:
        """Detect objects in the frames of a video.

        Args:
            path: the file.
            advance: called with 1 after each frame, for a progress bar.
        """
        results: list[FileDetections] = []

        def annotated_frames() -> Iterator[np.ndarray]:
            with closing(self.predictor.stream(read_frames(path))) as stream:
                for i, (frame, detections) in enumerate(stream):
                    results.append(FileDetections(path, detections, i))
                    drawn = frame if self.copies is None else draw_boxes(frame, detections)
                    yield np.asarray(drawn)
                    advance(1)

        try:
            if self.copies is None:
                for _ in annotated_frames():
                    pass
            else:
                key = Path(path.name)
                self.copies.add([key], VIDEO_SUFFIXES)
                write_video(self.copies.prepare(key), annotated_frames(), frame_rate(path))
            self.results.extend(results)
        except ImageError as error:
            self.failures.append(str(error))


def _in_picture(detections: Detections, pixels: np.ndarray) -> Detections:
    """Return detections in the pixels of a picture of their image, which may be shrunk."""
    if pixels.shape[:2] == detections.image_size:
        return detections
    ratio = np.float32(max(pixels.shape[:2]) / max(detections.image_size))
    return replace(detections, xyxy=detections.xyxy * ratio, image_size=pixels.shape[:2])
