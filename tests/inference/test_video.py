"""Reading and writing of videos."""

import struct
import sys

import numpy as np
import pytest

from cspdarknet.images import ImageError
from cspdarknet.inference.video import frame_rate, read_frames, write_video
from fake_detector import box_of

pytestmark = pytest.mark.one_backend


def test_frames_are_read_as_they_were_written(video):
    frames = list(read_frames(video))
    assert len(frames) == 12
    assert frame_rate(video) == 10
    for i, frame in enumerate(frames):
        assert frame.dtype == np.uint8
        assert frame.shape == (48, 80, 3)  # an odd column cannot be stored
        np.testing.assert_allclose(box_of(frame, 0), [4 + 4 * i, 8, 24 + 4 * i, 28], atol=2)


def test_a_rotated_video_is_read_upright(video):
    """Phones store frames in the sensor's orientation, with a rotation matrix, here of 90°."""
    stored = next(read_frames(video))
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    rotated = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    content = video.read_bytes()
    track = content.index(b"tkhd")
    assert straight in content[track : track + 100]
    video.write_bytes(content[:track] + content[track:].replace(straight, rotated, 1))
    np.testing.assert_array_equal(next(read_frames(video)), np.rot90(stored, -1))


def test_files_that_are_not_videos(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"not a video" * 100)
    for path in (tmp_path / "a.mp4", tmp_path / "none.mp4"):
        with pytest.raises(ImageError, match=rf"{path.name}: not a video"):
            next(read_frames(path))


def test_an_interrupted_video_is_not_written(video, tmp_path):
    def frames():
        yield np.zeros((48, 80, 3), "uint8")
        raise ImageError("damaged")

    with pytest.raises(ImageError, match="damaged"):
        write_video(tmp_path / "copy.mp4", frames(), frame_rate(video))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'cspdarknet\[video\]'"):
        next(read_frames(tmp_path / "a.mp4"))
