"""Streams of frames: the newest first, bounded memory, connections that are lost."""

import gc
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from cspdarknet.images import ImageError
from cspdarknet.inference import streams
from cspdarknet.inference.frames import Source
from cspdarknet.inference.streams import EVERY_FRAME_DEPTH, FrameStream, detect_frames
from cspdarknet.inference.video import read_frames
from fake_detector import FakePredictor, paint
from mjpeg_server import MjpegServer

pytestmark = pytest.mark.one_backend
pytest.importorskip("av", reason="streams need PyAV")


class Picture:
    """A decoded frame, of which the living ones are counted."""

    time, rotation, alive = None, 0, 0

    def __init__(self):
        Picture.alive += 1

    def __del__(self):
        Picture.alive -= 1

    def to_ndarray(self, format):
        return paint((48, 80), [("red", 4, 8, 24, 28)])


class Container:
    """A connection that gives the pictures of an iterable."""

    def __init__(self, pictures):
        video = SimpleNamespace(average_rate=None, guessed_rate=None)
        self.streams, self.pictures = SimpleNamespace(video=[video]), pictures
        self.is_closed = False

    def demux(self, stream):
        for picture in self.pictures:
            yield SimpleNamespace(decode=lambda picture=picture: [picture])

    def close(self):
        self.is_closed = True


@pytest.fixture
def connect(monkeypatch):
    """Makes the live source "camera", whose successive connections give these pictures."""

    def connect(*connections):
        containers = iter([Container(pictures) for pictures in connections])
        source = Source("camera", True, lambda: next(containers))
        monkeypatch.setattr(streams, "find_source", lambda _: source)

    return connect


def test_a_slow_consumer_gets_the_newest_frame(connect):
    """While it is busy, 99 frames come; all but the last are dropped."""
    is_taken, are_sent, may_end = threading.Event(), threading.Event(), threading.Event()
    now = iter(range(1000))

    def pictures():
        yield Picture()
        is_taken.wait()
        for _ in range(99):
            yield Picture()
        are_sent.set()
        may_end.wait()

    connect(pictures())
    stream = FrameStream("camera", reconnect=0, clock=lambda: next(now))
    frames = iter(stream)
    first = next(frames)
    is_taken.set()
    are_sent.wait()
    second = next(frames)
    assert [(frame.index, frame.dropped) for frame in (first, second)] == [(0, 0), (99, 98)]
    assert (stream.received, stream.dropped) == (100, 98)
    # The clock has ticked at the start, at each of the 100 frames, and now.
    assert stream.age(second) == 1
    may_end.set()
    with pytest.raises(ImageError, match=r"camera: lost after 100 frames \(it ended\)"):
        next(frames)


def test_every_frame_is_read_where_none_may_be_dropped(connect):
    produced = []

    def pictures():
        for i in range(50):
            produced.append(i)
            yield Picture()

    connect(pictures())
    stream = FrameStream("camera", every_frame=True, reconnect=0)
    frames = iter(stream)
    for i in range(50):
        assert next(frames).index == i
        # Those that wait, the one in the reader's hand, and the next.
        assert len(produced) <= i + 1 + EVERY_FRAME_DEPTH + 2
    with pytest.raises(ImageError, match="lost after 50 frames"):
        next(frames)
    assert stream.dropped == 0


@pytest.mark.parametrize("every_frame", [False, True])
def test_memory_is_constant(connect, every_frame):
    def pictures():
        for _ in range(2000):
            yield Picture()

    gc.collect()
    before = Picture.alive
    connect(pictures())
    stream = FrameStream("camera", every_frame=every_frame, reconnect=0)

    def consume():
        for frame, detections in detect_frames(FakePredictor(), stream):
            assert len(detections) == 1
            assert Picture.alive - before <= EVERY_FRAME_DEPTH + 3
            assert frame.image.shape == (48, 80, 3)

    with pytest.raises(ImageError, match="lost after 2000 frames"):
        consume()


def test_pauses_grow_until_the_connection_is_back(connect):
    def lost():
        raise OSError(5, "Input/output error")
        yield

    connect([Picture()], *(lost() for _ in range(3)), [Picture()], *(lost() for _ in range(4)))
    pauses, messages = [], []
    stream = FrameStream("camera", True, 4, notify=messages.append, pause=pauses.append)
    frames = iter(stream)
    assert [next(frames).index for _ in range(2)] == [0, 1]
    with pytest.raises(ImageError, match=r"camera: lost after 2 frames \(Input/output error\)"):
        next(frames)
    assert pauses == [0.5, 1, 2, 4] * 2
    assert messages[1] == "camera: no frames (Input/output error); trying again in 1 s."


def test_a_camera_that_falls_silent_is_connected_again(connect):
    av = pytest.importorskip("av")

    def silent():
        yield Picture()
        raise av.error.ExitError(0, "Immediate exit requested", "http://user:secret@camera")

    connect(silent(), [Picture()])
    messages = []
    stream = FrameStream("camera", True, 1, notify=messages.append, pause=lambda _: None)
    frames = iter(stream)
    assert [next(frames).index for _ in range(2)] == [0, 1]
    assert messages[0] == "camera: no frames (no data for 10 s); trying again in 0.5 s."
    stream.stop()


def test_stop_ends_a_consumer_that_waits(connect):
    is_waiting, may_end = threading.Event(), threading.Event()

    def pictures():
        yield Picture()
        is_waiting.set()
        may_end.wait()

    connect(pictures())
    stream = FrameStream("camera")
    stopper = threading.Thread(target=lambda: (is_waiting.wait(), stream.stop()))
    stopper.start()
    assert [frame.index for frame in stream] in ([0], [])
    stopper.join()
    may_end.set()


def test_a_camera_over_http_that_is_killed_and_restarted():
    """The pauses between attempts bring the server back, at the third."""
    server = MjpegServer()
    images = [paint((48, 80), [("red", 4 + 4 * i, 8, 24 + 4 * i, 28)]) for i in range(6)]
    server.send(*images[:3], None)
    pauses, messages = [], []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 1:
            server.stop()
        if len(pauses) == 3:
            server.start()
            server.send(*images[3:], None)

    stream = FrameStream(server.url, every_frame=True, notify=messages.append, pause=pause)
    boxes, indices = [], []
    for frame, detections in detect_frames(FakePredictor(), stream):
        indices.append(frame.index)
        boxes.append(detections.xyxy[0, 0])
        if len(boxes) == 6:
            stream.stop()
    assert pauses[:3] == [0.5, 1, 2]
    np.testing.assert_allclose(boxes, [4 + 4 * i for i in range(6)], atol=1)
    assert indices == list(range(6))
    assert len(messages) == len(pauses)
    server.stop()


def test_a_video_file_gives_the_frames_of_the_file(video):
    with FrameStream(video) as stream:
        assert (stream.is_live, stream.drops, stream.frame_rate) == (False, False, 10)
        frames = list(stream)
    for frame, image in zip(frames, read_frames(video), strict=True):
        np.testing.assert_array_equal(frame.image, image)
    assert [round(frame.time, 3) for frame in frames] == [i / 10 for i in range(12)]


def test_a_stopped_file_ends(video):
    indices = []
    with FrameStream(video) as stream:
        for frame in stream:
            indices.append(frame.index)
            stream.stop()
    assert indices == [0]


def test_a_damaged_video_gives_its_frames_and_an_error(video):
    content = video.read_bytes()
    video.write_bytes(content[: content.index(b"mdat") + 4] + b"x" * 3000 + content[-2000:])
    with pytest.raises(ImageError, match=r"clip\.mp4"), FrameStream(video) as stream:
        list(stream)


def test_sources_that_cannot_be_opened(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    for source, message in [
        (tmp_path / "none.mp4", "SOURCE must be a video file"),
        (tmp_path, "SOURCE must be a video file"),
        (tmp_path / "a.mp4", "not a video"),
        ("ftp://somewhere/a.mp4", "SOURCE must be"),
        ("http://user:secret@127.0.0.1:1/a.mjpg", r"user:\*\*\*@127.0.0.1:1/a.mjpg cannot be"),
    ]:
        with pytest.raises(ValueError, match=message) as raised:
            FrameStream(source)
        assert "secret" not in str(raised.value)
