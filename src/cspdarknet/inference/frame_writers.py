"""Writers of results frame by frame: JSON lines, MOT files, CSV tables and videos."""

import contextlib
import csv
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from PIL import Image

from cspdarknet._files import STANDARD_OUTPUT
from cspdarknet._unfinished import WriteError, make_folder, temporary_folder
from cspdarknet.inference.copies import RESULTS_MARKER
from cspdarknet.inference.tracks import NO_TRACK
from cspdarknet.inference.video import DEFAULT_RATE, VideoWriter
from cspdarknet.visualize import draw_boxes

if TYPE_CHECKING:
    from cspdarknet.detections import Detections
    from cspdarknet.inference.frames import Frame

JSON_LINES_STARTS = ('{"source": ',)
TRACKS_CSV_HEADER = (
    *("frame", "time", "tracker_id", "class", "confidence"),
    *("x1", "y1", "x2", "y2"),
)
TRACKS_CSV_STARTS = (",".join(TRACKS_CSV_HEADER),)
Draw = Callable[[np.ndarray, "Detections"], Image.Image]


class FrameWriter(Protocol):
    """What receives the results of each frame; as a context manager it completes its files."""

    def write(self, frame: "Frame", detections: "Detections", **facts: Any) -> None:
        """Write the results of a frame; `facts` are those that JSON lines have besides."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: Any) -> None: ...


class _WholeFile:
    """A text file that is written in a temporary folder, and moved to its path at the end.

    After an exception, an earlier file remains as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folder = self._stack.enter_context(temporary_folder(self.path))
        self._part = folder / self.path.name
        opened = self._part.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._file: IO[str] = self._stack.enter_context(opened)
        self._begin()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._file.close()
            self._part.replace(self.path)

    def _begin(self) -> None:
        """Write what stands before the first frame."""


class MotWriter(_WholeFile):
    """Writes tracks as a MOTChallenge file: frame, id, left, top, width, height, confidence.

    Frames are counted from 1. Detections without a track are left out.

    Args:
        path: the file, which is there once the writer is closed.
    """

    def write(self, frame: "Frame", detections: "Detections", **_: Any) -> None:
        """Write the tracked objects of a frame."""
        for row in _tracked(detections):
            x1, y1, x2, y2 = row["xyxy"]
            numbers = (x1, y1, x2 - x1, y2 - y1, row["confidence"])
            box = ",".join(f"{number:.4f}" for number in numbers)
            self._file.write(f"{frame.index + 1},{row['tracker_id']},{box},-1,-1,-1\n")


class TracksCsvWriter(_WholeFile):
    """Writes tracks as CSV, a row for each object in each frame.

    Args:
        path: the file, which is there once the writer is closed.
    """

    def _begin(self) -> None:
        self._table = csv.writer(self._file, lineterminator="\n")
        self._table.writerow(TRACKS_CSV_HEADER)

    def write(self, frame: "Frame", detections: "Detections", **_: Any) -> None:
        """Write the tracked objects of a frame."""
        for row in _tracked(detections):
            name = row["class_id"] if row["class_name"] is None else row["class_name"]
            moment = (frame.index, f"{frame.time:.3f}", row["tracker_id"])
            self._table.writerow([*moment, name, row["confidence"], *row["xyxy"]])


class JsonLinesWriter:
    """Writes a line of JSON for each frame, at once, so that other programs can follow.

    Args:
        path: the file; `-` is the standard output.
        source: name of the source, which each line has.

    Raises:
        WriteError: (an `OSError`) if the file cannot be written.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path, self._source = path, source

    def __enter__(self) -> Self:
        if self.path == STANDARD_OUTPUT:
            sys.stdout.flush()
            self._file: Any = sys.stdout.buffer
        else:
            try:
                self._file = self.path.open("wb")
            except OSError as error:
                raise WriteError(error, self.path) from error
        return self

    def __exit__(self, *_: Any) -> None:
        if self.path != STANDARD_OUTPUT:
            with contextlib.suppress(OSError):  # each line was flushed, or failed already
                self._file.close()

    def write(self, frame: "Frame", detections: "Detections", **facts: Any) -> None:
        """Write the line of a frame.

        Args:
            frame: the frame.
            detections: its detections.
            **facts: further entries, as JSON types.
        """
        moment = {"frame": frame.index, "time": round(frame.time, 3), "dropped": frame.dropped}
        line = {
            **{"source": self._source, **moment, **facts},
            "detections": detections.to_json(),
        }
        try:
            self._file.write((json.dumps(line) + "\n").encode(errors="surrogateescape"))
            self._file.flush()
        except OSError as error:
            raise WriteError(error, self.path) from error


class SegmentWriter:
    """Writes frames with their objects drawn in as a series of videos, H.264 in MP4.

    A new file begins after some time, and where the size of the frames changes. Each is written in
    a temporary folder and moved when it is complete, so that a crash costs one file at most.

    Args:
        next_path: returns the path of the next file.
        rate: frames per second that the source states, if it does.
        seconds: length of a file.
        draw: returns the picture of a frame; `None` draws the boxes.

    Attributes:
        files: number of complete files.
    """

    def __init__(
        self,
        next_path: Callable[[], Path],
        rate: Fraction | None = None,
        seconds: float = math.inf,
        draw: Draw | None = None,
    ) -> None:
        self.files = 0
        self._next_path, self._rate, self._seconds = next_path, rate or DEFAULT_RATE, seconds
        self._draw = draw or draw_boxes
        self._stack = ExitStack()
        self._writer: VideoWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._start = 0.0

    def __enter__(self) -> Self:
        return self

    def write(self, frame: "Frame", detections: "Detections", **_: Any) -> None:
        """Write a frame, in a new file if it is time for one."""
        picture = np.asarray(self._draw(frame.image, detections))
        if self._writer is not None and (
            picture.shape != self._shape or frame.time - self._start >= self._seconds
        ):
            self._finish(self._writer)
        if self._writer is None:
            self._shape, self._start = picture.shape, frame.time
            self._writer = self._begin()
        self._writer.write(picture, frame.time - self._start)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and self._writer is not None:
            self._finish(self._writer)
        elif self._writer is not None:
            self._writer.__exit__(kind, error, trace)
        self._stack.__exit__(kind, error, trace)

    def _begin(self) -> VideoWriter:
        self._path = self._next_path()
        folder = self._stack.enter_context(temporary_folder(self._path))
        self._part = folder / self._path.name
        return VideoWriter(self._part, self._rate)

    def _finish(self, writer: VideoWriter) -> None:
        self._writer = None
        with self._stack:
            writer.close()
            self._part.replace(self._path)
        self.files += 1


def dated_paths(
    folder: Path, name: str, now: Callable[[], float] = time.time
) -> Callable[[], Path]:
    """Return a function for the paths of successive videos, named by the time of day in UTC.

    Args:
        folder: the folder, which is created with the first file.
        name: beginning of the names.
        now: returns the time of day in seconds.

    Example:
        >>> dated_paths(Path("videos"), "camera 0", now=lambda: 0)()
        PosixPath('videos/camera_0-19700101T000000Z.mp4')
    """
    stem = re.sub(r"[^\w.]+", "_", name).strip("_.") or "stream"

    def next_path() -> Path:
        make_folder(folder)
        (folder / RESULTS_MARKER).touch()
        return _free_path(folder, f"{stem}-{datetime.fromtimestamp(now(), UTC):%Y%m%dT%H%M%SZ}")

    return next_path


def _free_path(folder: Path, name: str) -> Path:
    """Return the path of an `.mp4` file that does not exist."""
    path, number = folder / f"{name}.mp4", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{name}-{number}.mp4"
    return path


def _tracked(detections: "Detections") -> list[dict[str, Any]]:
    """Return the rows of the detections that have a track."""
    return [row for row in detections.to_json() if row.get("tracker_id", NO_TRACK) != NO_TRACK]
