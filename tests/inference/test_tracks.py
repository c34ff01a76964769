"""Tracking: ids of the objects in successive frames."""

import sys

import numpy as np
import pytest

from cspdarknet.detections import Detections
from cspdarknet.images import ImageError
from cspdarknet.inference.frames import Frame
from cspdarknet.inference.tracks import TRACKERS, Tracker, track
from fake_detector import FakePredictor, paint

pytestmark = pytest.mark.one_backend
pytest.importorskip("trackers", reason="tracking needs trackers")

FRAMES = 12


def moving(frames=FRAMES):
    """Two objects that move toward each other in different rows, in alternating order."""
    for i in range(frames):
        rows = np.array([[10 + 3 * i, 10, 40 + 3 * i, 40], [90 - 3 * i, 60, 120 - 3 * i, 90]])
        order = [0, 1] if i % 2 else [1, 0]
        yield rows[order], np.array([0.9, 0.8])[order], np.array([0, 1])[order]


def stream(frames=FRAMES):
    for i, arrays in enumerate(moving(frames)):
        image = np.zeros((100, 140, 3), "uint8")
        yield Frame(image, i, i / 10), Detections(*arrays, (100, 140), ("a", "b"))


@pytest.mark.parametrize("name", TRACKERS)
def test_each_object_keeps_its_id(name):
    by_class = {0: set(), 1: set()}
    results = list(track(stream(), name, frame_rate=10))
    for (_, given), (_, detections) in zip(stream(), results, strict=True):
        np.testing.assert_array_equal(detections.xyxy, given.xyxy)
        np.testing.assert_array_equal(detections.class_id, given.class_id)
    for _, detections in results[4:]:
        for item in detections:
            by_class[item.class_id].add(item.tracker_id)
    assert len(by_class[0]) == len(by_class[1]) == 1
    assert by_class[0] != by_class[1]
    assert -1 not in by_class[0] | by_class[1]


def test_an_object_that_is_away_for_a_second_has_a_new_id():
    """The time decides, and not the number of frames."""
    for gap, is_same in ((0.5, True), (1.5, False)):
        tracker = Tracker("bytetrack", frame_rate=10)
        first = list(stream())[-1][1]
        for i in range(5):
            result = tracker.update(first, time=i / 10)
        later = tracker.update(first, time=0.4 + gap)
        later = tracker.update(first, time=0.5 + gap)
        assert set(result.tracker_id) == {0, 1}
        assert (set(later.tracker_id) == {0, 1}) == is_same


def test_frames_without_detections_and_of_one_time():
    tracker = Tracker("botsort", frame_rate=10)
    empty = Detections([], [], [], (100, 140))
    assert tracker.update(empty, np.zeros((100, 140, 3)), 0.0).tracker_id.shape == (0,)
    (_, first), *_ = stream()
    ids = [tracker.update(first, time=0.0).tracker_id for _ in range(4)][-1]
    assert set(ids) == {0, 1}


def test_weak_detections_continue_a_track_but_begin_none():
    tracker = Tracker("bytetrack", frame_rate=10, score_threshold=0.5)
    strong = Detections([[10, 10, 40, 40]], [0.9], [0], (100, 140))
    weak = Detections([[10, 10, 40, 40], [80, 60, 99, 90]], [0.3, 0.3], [0, 0], (100, 140))
    for _ in range(3):
        tracker.update(strong)
    for _ in range(3):
        ids = tracker.update(weak).tracker_id
    assert ids.tolist() == [0, -1]


def test_streams_of_a_predictor_with_a_damaged_image(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not an image")
    images = [paint((48, 80), [("red", 4 + i, 8, 24 + i, 28)]) for i in range(4)]
    given = FakePredictor().stream([*images, tmp_path / "bad.png"])
    *results, (path, error) = track(given, Tracker("sort", minimum_consecutive_frames=1))
    assert [detections.tracker_id.tolist() for _, detections in results[1:]] == [[0]] * 3
    assert isinstance(error, ImageError)
    assert path == tmp_path / "bad.png"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "deepsort"}, "`tracker` must be one of 'bytetrack'"),
        ({"frame_rate": 0}, "`frame_rate` must be a number greater than 0"),
        ({"score_threshold": 2}, "`score_threshold` must be a number"),
        ({"lost_buffer": 3}, "must be arguments of trackers.ByteTrackTracker"),
        ({"lost_track_buffer": -1}, "lost_track_buffer"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tracker(**arguments)


def test_without_trackers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(ImportError, match=r"pip install 'cspdarknet\[track\]'"):
        Tracker()


def test_without_a_display_the_package_to_install_is_named(monkeypatch):
    """OpenCV for displays cannot be imported where a library of theirs is missing."""

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "trackers":
                raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "trackers", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ImportError, match="opencv-python-headless"):
        Tracker()
