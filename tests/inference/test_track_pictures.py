"""Pictures of tracked objects."""

import numpy as np
import pytest

from cspdarknet.detections import Detections
from cspdarknet.inference.counts import Counts
from cspdarknet.inference.track_pictures import TrackPainter
from cspdarknet.visualize import class_color

pytestmark = pytest.mark.one_backend


def draw(painter, x, ids=(3,)):
    boxes = [[x, 40, x + 20, 60]] * len(ids)
    detections = Detections(boxes, [0.9] * len(ids), [0] * len(ids), (100, 200), tracker_id=ids)
    return np.asarray(painter.draw(np.zeros((100, 200, 3), "uint8"), detections))


def test_box_and_trace_have_the_color_of_the_id():
    painter = TrackPainter(trace_frames=5)
    for x in range(20, 100, 10):
        picture = draw(painter, x)
    color = class_color(3)
    assert tuple(picture[59, 100]) == color  # the box
    assert tuple(picture[50, 60]) == color  # the trace of five frames, from 60 on
    assert tuple(picture[50, 45]) == (0, 0, 0)


def test_objects_without_a_track_are_not_drawn_and_traces_are_forgotten():
    painter = TrackPainter(trace_frames=3)
    assert not draw(painter, 20, ids=(-1,)).any()
    for i in range(50):
        draw(painter, 20, ids=(i,))
    assert len(painter._traces) == 3


def test_lines_and_zones_are_drawn():
    pytest.importorskip("supervision", reason="counting needs supervision")
    counts = Counts([[(150, 0), (150, 99)]], [[(5, 5), (60, 5), (60, 95), (5, 95)]])
    picture = draw(TrackPainter(counts), 90)
    assert picture[90, 150].tolist() == [255] * 3
    assert picture[50, 60].tolist() == [255] * 3
