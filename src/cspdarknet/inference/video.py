"""Read and write videos."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet._files import write_whole
from cspdarknet.images import ImageError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
USUAL_RATE = Fraction(25)


def open_video(path: Path) -> Any:
    """Open a video to read.

    Raises:
        ImageError: if the file is no video.
        ImportError: if PyAV is missing.
    """
    av: Any = require("av", "video", "Reading videos")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path}: not a video that can be read ({error}).") from error
    if not container.streams.video:
        container.close()
        raise ImageError(f"{path}: has no pictures.")
    return container


def frame_rate(path: Path) -> Fraction:
    """Return the mean number of frames per second, 25 where the file doesn't say."""
    with open_video(path) as container:
        return container.streams.video[0].average_rate or USUAL_RATE


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Read a video, frame after frame.

    Args:
        path: the file.

    Returns:
        Iterator over arrays of uint8, `(height, width, 3)`, RGB in 0..255, upright.

    Raises:
        ImageError: if the file is no video, is damaged, or has no frame.
        ImportError: if PyAV is missing.
    """
    av: Any = require("av", "video", "Reading videos")
    count = 0
    with open_video(path) as container:
        try:
            for frame in container.decode(video=0):
                count += 1
                # Phones store frames as the sensor lies, and how to turn them.
                yield np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
        except av.error.FFmpegError as error:
            raise ImageError(f"{path}: damaged after {count} frames ({error}).") from error
    if not count:
        raise ImageError(f"{path}: has no frames.")


def write_video(path: Path, frames: Iterable[np.ndarray], rate: Fraction) -> None:
    """Write frames as a video, H.264 in MP4; it appears whole or not at all.

    Args:
        path: the `.mp4` file.
        frames: arrays of uint8, `(height, width, 3)`, all of one size; an odd last row or column
            is left out, which the format cannot hold.
        rate: frames per second.
    """
    write_whole(path, lambda part: _encode(part, frames, rate))


def _encode(path: Path, frames: Iterable[np.ndarray], rate: Fraction) -> None:
    av: Any = require("av", "video", "Writing videos")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
        stream.pix_fmt = "yuv420p"
        for i, array in enumerate(frames):
            even = array[: len(array) // 2 * 2, : array.shape[1] // 2 * 2]
            if i == 0:
                stream.height, stream.width = even.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
