"""Reading and writing of videos."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet._files import write_whole
from cspdarknet.images import ImageError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
DEFAULT_RATE = Fraction(25)  # frames per second


def open_video(path: Path) -> Any:
    """Open a video for reading, as a container of PyAV.

    Raises:
        ImageError: if the file is not a video.
        ImportError: if PyAV is missing.
    """
    av: Any = require("av", "video", "Reading videos")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{path}: not a video that can be read ({error}).") from error
    if not container.streams.video:
        container.close()
        raise ImageError(f"{path}: has no video stream.")
    return container


def frame_rate(path: Path) -> Fraction:
    """Return the mean number of frames per second, 25 if the file does not say."""
    with open_video(path) as container:
        return container.streams.video[0].average_rate or DEFAULT_RATE


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Read the frames of a video.

    Args:
        path: the file.

    Returns:
        An iterator over upright uint8 arrays `(height, width, 3)`, RGB in 0..255.

    Raises:
        ImageError: if the file is not a video, is damaged, or has no frames.
        ImportError: if PyAV is missing.
    """
    av: Any = require("av", "video", "Reading videos")
    count = 0
    with open_video(path) as container:
        try:
            for frame in container.decode(video=0):
                count += 1
                # Phones store frames in the sensor's orientation, with the angle to rotate them by.
                yield np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
        except av.error.FFmpegError as error:
            raise ImageError(f"{path}: damaged after {count} frames ({error}).") from error
    if not count:
        raise ImageError(f"{path}: has no frames.")


def write_video(path: Path, frames: Iterable[np.ndarray], rate: Fraction) -> None:
    """Write frames as a video, H.264 in MP4.

    Args:
        path: the `.mp4` file. It is written atomically.
        frames: uint8 arrays `(height, width, 3)`, all of one size. An odd last row or column is
            dropped, since the format needs even sizes.
        rate: frames per second.

    Raises:
        ImportError: if PyAV is missing.
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
