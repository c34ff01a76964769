"""Sources of frames: cameras, network streams, video files and standard input."""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.images import ImageError
from cspdarknet.inference.video import VIDEO_SUFFIXES, open_video

STANDARD_INPUT = "-"
OPEN_SECONDS, READ_SECONDS = 10.0, 10.0  # without data, after which a connection counts as lost
BAD_PACKETS = 250  # in a row, after which a stream counts as lost: about ten seconds
SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt")
CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation"}
_URL = re.compile(r"(\w+)://", re.ASCII)
_PASSWORD = re.compile(r"(://[^/@:]*):[^/@]*@")


class Frame:
    """One frame of a video, a camera or a stream. A `Predictor` takes it as an image.

    Args:
        picture: the decoded frame of PyAV, or a uint8 array `(height, width, 3)`, RGB.
        index: number of the frame, from 0; frames that were dropped count.
        time: seconds since the first frame: as stored in a file; of the arrival in a live stream.
        arrival: the clock's time when the frame was decoded.

    Attributes:
        dropped: number of frames that were dropped between the previous frame and this one.

    Example:
        >>> frame = Frame(np.zeros((48, 64, 3), "uint8"), index=3, time=0.12)
        >>> frame.image.shape
        (48, 64, 3)
    """

    def __init__(self, picture: Any, index: int, time: float, arrival: float = 0.0) -> None:
        self._picture = picture
        self.index = index
        self.time = time
        self.arrival = arrival
        self.dropped = 0

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, time={self.time:.3f}, dropped={self.dropped})"

    @cached_property
    def image(self) -> np.ndarray:
        """The upright image, a uint8 array `(height, width, 3)`, RGB in 0..255."""
        picture, self._picture = self._picture, None
        if isinstance(picture, np.ndarray):
            return picture
        # Phones store frames in the sensor's orientation, with the angle to rotate them by.
        return np.rot90(picture.to_ndarray(format="rgb24"), round(picture.rotation / 90))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.image, dtype=dtype, copy=copy)


@dataclass(frozen=True)
class Source:
    """A camera, a network stream, a video file or standard input.

    Attributes:
        name: as it was given, without a password.
        is_live: whether its frames come at their own pace, and may be dropped.
        open: returns a new container of PyAV.
        can_seek: whether the source is a file, of which any part can be read.
    """

    name: str
    is_live: bool
    open: Callable[[], Any]
    can_seek: bool = False


def names_stream(source: str) -> bool:
    """Whether a text names a camera, a network stream or standard input, rather than a file."""
    if source == STANDARD_INPUT or _is_camera(source):
        return True
    match = _URL.match(source)
    return match is not None and match[1].lower() in SCHEMES


def find_source(source: str | Path | int) -> Source:
    """Return the source of frames that a text names.

    Args:
        source: a video file; an address such as `rtsp://…` or `http://….mjpg`; the number of a
            camera, or its device; or `-` for standard input.

    Raises:
        ValueError: if it is anything else.
    """
    text = str(source)
    if text == STANDARD_INPUT:
        is_file = _stdin_is_file()
        return Source("standard input", not is_file, _open_standard_input, is_file)
    if _is_camera(text):
        return Source(f"camera {text}", True, lambda: _open_camera(text))
    if names_stream(text):
        path = re.split(r"[?#]", text)[0].lower()
        is_live = not (text.lower().startswith("http") and path.endswith(VIDEO_SUFFIXES))
        name = _PASSWORD.sub(r"\1:***@", text)
        return Source(name, is_live, lambda: _open_address(text))
    path = Path(text)
    if not path.is_file():
        raise ValueError(
            "SOURCE must be a video file, an address such as rtsp://… or http://….mjpg, the "
            f"number of a camera, or - for standard input. Received: {_PASSWORD.sub(':***@', text)}"
        )
    return Source(text, False, lambda: open_video(path), can_seek=True)


def decoded_frames(container: Any, is_live: bool) -> Iterator[Any]:
    """Decode the frames of a container of PyAV.

    Args:
        container: the container.
        is_live: whether to skip what cannot be decoded, such as the frames before the first
            complete one of a stream; of a file, it is an error.

    Raises:
        ImageError: if the connection is lost or the file is damaged.
    """
    av: Any = require("av", "video", "Reading videos")
    stream = container.streams.video[0]
    # Threads that decode several frames at once delay each of them by as many.
    stream.thread_type = "SLICE" if is_live else "AUTO"
    bad = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                bad += 1
                if not is_live or bad >= BAD_PACKETS:
                    raise
                continue
            bad = 0
            yield from frames
    except (av.error.FFmpegError, OSError) as error:
        raise ImageError(reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """Return the reason of an error of PyAV, without the address, which may have a password."""
    av: Any = require("av", "video", "Reading videos")
    cause = error.__cause__ or error
    if isinstance(cause, av.error.ExitError):
        return f"no data for {READ_SECONDS:g} s"
    return getattr(cause, "strerror", None) or str(cause)


def rate_of(container: Any) -> Fraction | None:
    """Return the mean number of frames per second, if the container says."""
    stream = container.streams.video[0]
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate and 1 <= rate <= 1000 else None


def _is_camera(text: str) -> bool:
    """Whether a text is a camera's number, or its device file."""
    if text.isascii() and text.isdecimal():
        return not Path(text).exists()
    with contextlib.suppress(OSError, ValueError):
        return stat.S_ISCHR(os.stat(text).st_mode)  # noqa: PTH116
    return False


def _stdin_is_file() -> bool:
    with contextlib.suppress(OSError, ValueError):
        return stat.S_ISREG(os.fstat(0).st_mode)
    return False


def _open(file: Any, name: str, **options: Any) -> Any:
    """Open what is not a plain file as a container of PyAV with a video stream.

    Raises:
        ImageError: if that fails.
    """
    av: Any = require("av", "video", "Reading streams")
    try:
        container = av.open(file, **options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ImageError(f"{name} cannot be opened ({reason_of(error)}).") from error
    if not container.streams.video:
        container.close()
        raise ImageError(f"{name} has no video stream.")
    return container


def _open_standard_input() -> Any:
    # Unbuffered, since a thread that waits in a buffered read would hold its lock at exit.
    file = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    return _open(file, "Standard input")


def _open_camera(text: str) -> Any:
    if sys.platform not in CAMERA_FORMATS:
        raise ValueError(
            f"A camera by its number needs Linux or macOS. Received: {text} on {sys.platform}: "
            "give the address of a stream."
        )
    device = f"/dev/video{text}" if sys.platform == "linux" and text.isdecimal() else text
    return _open(device, f"Camera {text}", format=CAMERA_FORMATS[sys.platform])


def _open_address(text: str) -> Any:
    # Lost packets of UDP would damage all frames up to the next complete one.
    options = {"rtsp_transport": "tcp"} if text.lower().startswith("rtsp") else {}
    timeout = (OPEN_SECONDS, READ_SECONDS)
    return _open(text, _PASSWORD.sub(r"\1:***@", text), options=options, timeout=timeout)
