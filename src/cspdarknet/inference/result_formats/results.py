"""`FileDetections`: the detections in an image file or a frame, as the writers take them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspdarknet._unfinished import make_folder, temporary_folder
from cspdarknet.detections import Detections


@dataclass(frozen=True, eq=False)
class FileDetections:
    """The detections in an image file or in a frame of a video.

    Attributes:
        path: the file.
        detections: the detections.
        frame: index of the frame; `None` for an image.
        key: path relative to the source, after which files of results are named; `None` for the
            name of the file.
    """

    path: Path
    detections: Detections
    frame: int | None = None
    key: Path | None = None

    @property
    def stem(self) -> Path:
        """The key without its suffix, with the index of the frame, such as `clips/a_000012`."""
        key = Path(self.path.name) if self.key is None else self.key
        return key.with_name(key.stem + ("" if self.frame is None else f"_{self.frame:06d}"))


def inside_image(detections: Detections) -> Detections:
    """Return the detections clipped to their image, without those that have no area in it.

    Annotation tools take boxes inside the image only.

    Example:
        >>> detections = Detections([[-5, 2, 9, 9], [50, 0, 60, 9]], [0.9, 0.8], [0, 0], (10, 20))
        >>> inside_image(detections).xyxy.tolist()
        [[0.0, 2.0, 9.0, 9.0]]
    """
    height, width = detections.image_size
    corners = detections.xyxy.clip(0, np.tile([width, height], 2))
    kept = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    return Detections(
        corners[kept],
        detections.confidence[kept],
        detections.class_id[kept],
        detections.image_size,
        detections.class_names,
        detections.path,
    )


def write_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Write a folder beside `path`, then move it there in place of an earlier one.

    Args:
        path: the finished folder.
        write: function that writes the files into the folder that it is given.

    Raises:
        WriteError: if the disk is full or read-only.
    """
    make_folder(path.parent)
    with temporary_folder(path) as temporary:
        part = temporary / path.name
        part.mkdir()
        write(part)
        if path.is_dir():
            path.rename(temporary / "earlier")
        part.rename(path)
        shutil.rmtree(temporary / "earlier", ignore_errors=True)
