"""Counts of objects that cross lines and are in zones."""

import pytest

from cspdarknet.detections import Detections
from cspdarknet.inference import counts as module
from cspdarknet.inference.counts import Counts

pytestmark = pytest.mark.one_backend
pytest.importorskip("supervision", reason="counting needs supervision")

SQUARE = [(40, 40), (60, 40), (60, 60), (40, 60)]


def at(*centers, ids):
    boxes = [[x - 5, y - 5, x + 5, y + 5] for x, y in centers]
    return Detections(boxes, [0.9] * len(ids), [0] * len(ids), (100, 100), tracker_id=ids)


def test_lines_count_both_directions_and_tracked_objects_only():
    counts = Counts(lines=[[(50, 0), (50, 100)]])
    for x in (40, 48, 52, 60):
        counts.update(at((x, 20), (100 - x, 50), (x, 80), ids=[1, 2, -1]))
    # From the top of the line to its bottom, the right half is on the left.
    assert counts.to_json() == {"lines": [{"in": 1, "out": 1}], "zones": []}


def test_zones_count_who_is_there_and_who_has_been():
    counts = Counts(zones=[SQUARE])
    for x in (30, 45, 55, 70, 45):
        counts.update(at((x, 50), (50, 80), ids=[1, 2]))
    assert counts.to_json()["zones"] == [{"objects": 1, "total": 1}]
    counts.update(at((50, 50), (45, 50), ids=[1, 3]))
    assert counts.to_json()["zones"] == [{"objects": 2, "total": 2}]


def test_ids_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MEMORY", 10)
    counts = Counts(zones=[SQUARE])
    for i in range(100):
        counts.update(at((50, 50), ids=[i]))
    assert counts.to_json()["zones"] == [{"objects": 1, "total": 100}]
    assert len(counts._counted[0]) <= 20


@pytest.mark.parametrize(
    ("lines", "zones", "message"),
    [
        ([[(1, 1), (1, 1)]], [], "A line must have two different points"),
        ([[(1, 1)]], [], "A line must have two different points"),
        ([[(1, 1), (1, float("nan"))]], [], "A line must have"),
        ([], [[(1, 1), (5, 5)]], "A zone must have three or more points"),
        ([], [[(1, 1), (5, 5), (1e9, 0)]], "each up to 32768"),
        ([], [[]], "A zone must have"),
    ],
)
def test_bad_points(lines, zones, message):
    with pytest.raises(ValueError, match=message):
        Counts(lines, zones)


def test_detections_without_tracking_are_refused():
    with pytest.raises(ValueError, match="must have a `tracker_id`"):
        Counts().update(Detections([], [], [], (10, 10)))


@pytest.mark.parametrize("line", [[(150, 0), (150, 99)], [(0, -9), (99, -1)]])
def test_lines_outside_the_image(line):
    with pytest.raises(ValueError, match="must lie in the image, of 100 x 100 pixels"):
        Counts(lines=[line]).update(at((50, 50), ids=[1]))
