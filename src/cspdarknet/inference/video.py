"""Reading and writing of videos."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np

from cspdarknet._extras import require
from cspdarknet._files import write_whole
from cspdarknet.images import ImageError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
DEFAULT_RATE = Fraction(25)  # frames per second
# A faster preset than the default, which would take longer than a small detector.
ENCODING = {"crf": "20", "preset": "veryfast"}
TICK = Fraction(1, 90_000)  # seconds, in which the times of frames are stored


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
    with VideoWriter(path, rate) as writer:
        for frame in frames:
            writer.write(frame)


class VideoWriter:
    """Writes frames as a video, H.264 in MP4, one at a time.

    Args:
        path: the `.mp4` file, which is complete once the writer is closed.
        rate: frames per second.

    Raises:
        ImportError: if PyAV is missing.

    Example:
        >>> with VideoWriter(Path("gray.mp4"), Fraction(10)) as writer:
        ...     for time in (0.0, 0.1, 0.5):
        ...         writer.write(np.full((48, 64, 3), 128, "uint8"), time)
        >>> len(list(read_frames(Path("gray.mp4"))))
        3
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._av: Any = require("av", "video", "Writing videos")
        self._container = self._av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.pix_fmt = "yuv420p"
        self._last_tick = -1

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Write a frame.

        Args:
            image: uint8 array `(height, width, 3)`, of the size of the first. An odd last row or
                column is dropped, since the format needs even sizes.
            time: seconds since the first frame, for frames at irregular intervals; in all calls or
                none.
        """
        even = image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2]
        if self._last_tick < 0:
            self._start(even.shape[:2], time is not None)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        self._last_tick = max(self._last_tick + 1, 0 if time is None else round(time / TICK))
        if time is not None:
            frame.pts, frame.time_base = self._last_tick, TICK
        self._container.mux(self._stream.encode(frame))

    def _start(self, size: tuple[int, ...], has_times: bool) -> None:
        codec = self._stream.codec_context
        self._stream.height, self._stream.width = size
        codec.options = dict(ENCODING)
        if has_times:
            # Frames that refer to later ones would make the file end before its last frame.
            codec.options = {**ENCODING, "bf": "0"}
            codec.time_base = TICK

    def close(self) -> None:
        """Complete the file."""
        if self._last_tick >= 0:
            self._container.mux(self._stream.encode())
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._container.close()
