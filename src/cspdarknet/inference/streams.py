"""`FrameStream`: frames of cameras and streams that never end, the newest first."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cspdarknet.images import ImageError
from cspdarknet.inference.frames import (
    STANDARD_INPUT,
    Frame,
    decoded_frames,
    find_source,
    rate_of,
    reason_of,
)

if TYPE_CHECKING:
    from cspdarknet.detections import Detections
    from cspdarknet.inference.predictor import Predictor

EVERY_FRAME_DEPTH = 4  # frames that are decoded ahead, where none is dropped
NO_SEEKING = (
    " An MP4 file that is sent needs its index at the start: redirect it with `<`, or send MPEG-TS "
    "or Matroska."
)
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before attempts to reconnect


class FrameStream:
    """The frames of a camera, a network stream, a video file or standard input.

    Of a live source, the newest frame is next, and those that came before it while the consumer was
    busy are dropped: a frame is at most as old as the interval between two frames when it is
    handed over, however slow the consumer is. Of a video file, all frames are read.

    A live source that ends or is silent is opened again, after pauses that grow from half a second
    to half a minute. It ends with `stop`, or after too many attempts. Standard input ends with its
    data.

    Args:
        source: a video file; an address such as `rtsp://…` or `http://….mjpg`; the number of a
            camera, or its device; or `-` for standard input.
        every_frame: whether no frame is dropped, so that a slow consumer falls behind; `None` for
            files only.
        reconnect: maximum number of attempts in a row to open a live source again; `None` for no
            limit.
        notify: called with a line of text when a connection is lost, and when it is back.
        clock: returns the time in seconds.
        pause: waits for a number of seconds; `None` for a wait that `stop` ends.

    Attributes:
        name: the source, without a password.
        is_live: whether the source is live.
        drops: whether frames are dropped.
        frame_rate: frames per second, `None` if the source does not say.
        received: number of frames so far, with those that were dropped.
        dropped: number of frames that were dropped.

    Raises:
        ValueError: if the source is not one of these.
        ImageError: (a `ValueError`) if it cannot be opened, or is no video.
        ImportError: if PyAV is missing.

    Example:
        >>> from fractions import Fraction
        >>> from cspdarknet.inference.video import write_video
        >>> frames = [np.full((48, 64, 3), 40 * i, "uint8") for i in range(5)]
        >>> write_video(Path("clip.mp4"), frames, Fraction(10))
        >>> with FrameStream("clip.mp4") as stream:
        ...     [(frame.index, round(frame.time, 2), frame.image.shape) for frame in stream][-1]
        (4, 0.4, (48, 64, 3))
    """

    def __init__(
        self,
        source: str | Path | int,
        every_frame: bool | None = None,
        reconnect: int | None = None,
        notify: Callable[[str], object] = str,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        found = find_source(source)
        self.name, self.is_live = found.name, found.is_live
        self.drops = self.is_live and not every_frame
        self.received = 0
        self._reconnects = self.is_live and str(source) != STANDARD_INPUT
        self._remedy = "" if found.can_seek else NO_SEEKING
        self._most_failures = math.inf if reconnect is None else reconnect
        self._open, self._notify, self._clock = found.open, notify, clock
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self._channel = Channel(1 if self.drops else EVERY_FRAME_DEPTH, self.drops)
        self._container: Any = self._open()
        self.frame_rate: Fraction | None = rate_of(self._container)
        self._reader: threading.Thread | None = None
        if self.drops:
            self._start()  # at once, since what waits in the network would be old later

    @property
    def dropped(self) -> int:
        """Number of frames that were dropped so far."""
        return self._channel.dropped

    def age(self, frame: Frame) -> float:
        """Return the seconds since a frame was received."""
        return self._clock() - frame.arrival

    def stop(self) -> None:
        """End the stream: the iteration ends after the current frame. Signal handlers may call it.

        Of a video file, too, no further frame comes.
        """
        self._stopped.set()
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._reader is None:
            self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            ImageError: if the source fails for good.
        """
        if self._reader is None:
            self._start()
        while (frame := self._channel.get()) is not None:
            yield frame

    def _start(self) -> None:
        # It may wait for the network long after the end of the stream, and of the program.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # In the reader's thread.

    def _read(self) -> None:
        try:
            for frame in self._received_frames():
                if not self._channel.put(frame):
                    return
            self._channel.finish()
        except Exception as error:
            self._channel.finish(error)

    def _received_frames(self) -> Iterator[Frame]:
        """Yield the frames of all connections.

        Raises:
            ImageError: if there is none any more, but for `stop` and the end of a file.
        """
        start, failures = self._clock(), 0
        while not self._stopped.is_set():
            before, reason = self.received, "it ended"
            try:
                yield from self._connection_frames(start)
                if not self._reconnects and self.received:
                    return
            except ImageError as error:
                reason = reason_of(error)
            failures = 1 if self.received > before else failures + 1
            if not self._reconnects or failures > self._most_failures:
                raise self._failure(reason)
            seconds = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
            self._notify(f"{self.name}: no frames ({reason}); trying again in {seconds:g} s.")
            self._pause(seconds)

    def _failure(self, reason: str) -> ImageError:
        if self.received:
            what = "lost" if self.is_live else "damaged"
            return ImageError(f"{self.name}: {what} after {self.received} frames ({reason}).")
        return ImageError(f"{self.name}: has no frames ({reason}).{self._remedy}")

    def _connection_frames(self, start: float) -> Iterator[Frame]:
        """Yield the frames of one connection, the first of which is open already."""
        container, self._container = self._container or self._open(), None
        first = None
        last = 0.0
        with closing(container):
            for picture in decoded_frames(container, self.is_live):
                arrival = self._clock()
                if self.is_live:
                    last = arrival - start
                elif picture.time is not None:
                    first = picture.time if first is None else first
                    last = max(last, picture.time - first)
                self.received += 1
                yield Frame(picture, self.received - 1, last, arrival)


class Channel:
    """A bounded queue of frames between two threads, which may drop the oldest.

    Args:
        capacity: maximum number of frames that wait.
        drops: whether `put` drops the oldest frame if the queue is full, in place of waiting.

    Example:
        >>> channel = Channel(1, drops=True)
        >>> for i in range(3):
        ...     channel.put(Frame(None, i, 0.0))
        True
        True
        True
        >>> channel.get()
        Frame(index=2, time=0.000, dropped=2)
    """

    def __init__(self, capacity: int, drops: bool) -> None:
        self.dropped = 0
        self._frames: deque[Frame] = deque()
        self._capacity, self._drops = capacity, drops
        self._changed = threading.Condition()  # reentrant, so that signal handlers may close it
        self._is_closed, self._is_finished = False, False
        self._error: Exception | None = None
        self._dropped_before = 0

    def put(self, frame: Frame) -> bool:
        """Add a frame; return whether the channel is still open."""
        with self._changed:
            while len(self._frames) >= self._capacity and not self._is_closed:
                if self._drops:
                    self._frames.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if not self._is_closed:
                self._frames.append(frame)
                self._changed.notify_all()
            return not self._is_closed

    def get(self) -> Frame | None:
        """Wait for the next frame and return it, or `None` at the end.

        Raises:
            Exception: the error that the producer ended with, after the frames before it.
        """
        with self._changed:
            while not (self._frames or self._is_closed or self._is_finished):
                self._changed.wait()
            if self._frames and not self._is_closed:
                frame = self._frames.popleft()
                frame.dropped = self.dropped - self._dropped_before
                self._dropped_before = self.dropped
                self._changed.notify_all()
                return frame
            if self._error is not None and not self._is_closed:
                raise self._error
            return None

    def finish(self, error: Exception | None = None) -> None:
        """End the frames; those that wait are still handed over."""
        with self._changed:
            self._is_finished, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """End the channel at once, for both threads."""
        with self._changed:
            self._is_closed = True
            self._frames.clear()
            self._changed.notify_all()


def detect_frames(
    predictor: "Predictor", stream: FrameStream
) -> Iterator[tuple[Frame, "Detections"]]:
    """Detect objects in the frames of a stream.

    Of a live source, each frame is a call of the predictor; a video file is read and predicted in
    batches, as in `Predictor.stream`.

    Args:
        predictor: the `Predictor` of a detector.
        stream: the frames.

    Returns:
        An iterator over each frame with its detections.

    Example:
        >>> from fractions import Fraction
        >>> from cspdarknet.inference.video import write_video
        >>> write_video(Path("clip.mp4"), [np.zeros((48, 64, 3), "uint8")] * 5, Fraction(10))
        >>> predictor = Predictor("yolox_nano_bccd", runtime="keras", image_size=64)
        >>> with FrameStream("clip.mp4") as stream:
        ...     for frame, detections in detect_frames(predictor, stream):
        ...         print(frame.index, len(detections))
        0 0
        1 0
        2 0
        3 0
        4 0
    """
    if stream.is_live:
        for frame in stream:
            yield frame, predictor(frame)
        return
    with closing(predictor.stream(stream)) as results:
        yield from results
