"""Results that are written frame by frame."""

import csv
import json
import os

import numpy as np
import pytest

from cspdarknet._unfinished import WriteError
from cspdarknet.detections import Detections
from cspdarknet.inference import frame_writers
from cspdarknet.inference.frame_writers import (
    JsonLinesWriter,
    MotWriter,
    SegmentWriter,
    TracksCsvWriter,
    dated_paths,
)
from cspdarknet.inference.frames import Frame
from cspdarknet.inference.video import read_frames

pytestmark = pytest.mark.one_backend


def frame(index, size=(48, 80), time=None):
    return Frame(np.full((*size, 3), 90, "uint8"), index, index / 10 if time is None else time)


def tracked(size=(48, 80), ids=(7, -1)):
    boxes = [[2, 3, 12, 14], [20, 5, 40, 25]]
    return Detections(boxes, [0.9, 0.6], [0, 1], size, ("red", "blue"), tracker_id=list(ids))


def write_and_fail(writer, frames):
    """Write some frames, and leave the writer by an exception."""
    error = RuntimeError()
    writer.__enter__()
    for i in range(frames):
        writer.write(frame(i), tracked())
    writer.__exit__(type(error), error, None)


def test_mot_and_csv_have_the_tracked_objects(tmp_path):
    with MotWriter(tmp_path / "a.txt") as mot, TracksCsvWriter(tmp_path / "a.csv") as table:
        for i in (0, 4):
            for writer in (mot, table):
                writer.write(frame(i), tracked())
        assert list(tmp_path.glob("a.*")) == []  # not before they are complete
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert lines == [f"{i},7,2.0000,3.0000,10.0000,11.0000,0.9000,-1,-1,-1" for i in (1, 5)]
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert rows[1] == {
        **{"frame": "4", "time": "0.400", "tracker_id": "7", "class": "red", "confidence": "0.9"},
        **{"x1": "2.0", "y1": "3.0", "x2": "12.0", "y2": "14.0"},
    }


def test_trackers_reads_the_mot_file(tmp_path):
    mot = pytest.importorskip("trackers.io.mot")
    with MotWriter(tmp_path / "a.txt") as writer:
        writer.write(frame(2), tracked())
    (found,) = mot.load_mot_file(tmp_path / "a.txt").items()
    assert found[0] == 3
    assert found[1].ids.tolist() == [7]
    assert found[1].boxes.tolist() == [[2, 3, 10, 11]]


def test_after_an_exception_an_earlier_file_remains(tmp_path):
    (tmp_path / "a.txt").write_text("1,")
    write_and_fail(MotWriter(tmp_path / "a.txt"), 1)
    assert (tmp_path / "a.txt").read_text() == "1,"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def test_json_lines_are_there_at_once(tmp_path):
    path = tmp_path / "a.jsonl"
    with JsonLinesWriter(path, "camera 0") as writer:
        writer.write(frame(3), tracked(), age=0.25)
        line = json.loads(path.read_text())
    assert {key: line[key] for key in ("source", "frame", "time", "dropped", "age")} == {
        **{"source": "camera 0", "frame": 3, "time": 0.3, "dropped": 0, "age": 0.25}
    }
    assert [row["tracker_id"] for row in line["detections"]] == [7, -1]


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(WriteError, match=r"none/a.jsonl cannot be written"):
        JsonLinesWriter(tmp_path / "none/a.jsonl", "camera").__enter__()
    with (
        pytest.raises(WriteError, match=r"none/a.txt cannot be written"),
        MotWriter(tmp_path / "none/a.txt"),
    ):
        pass


def test_segments_by_time_and_by_size(tmp_path):
    pytest.importorskip("av", reason="videos need PyAV")
    out = tmp_path / "out"
    seconds = iter([0, 60, 60])
    paths = dated_paths(out, "rtsp://a:554/x", now=lambda: next(seconds))
    with SegmentWriter(paths, seconds=1.0) as writer:
        for i in range(12):
            writer.write(frame(i), tracked())
        assert [path.name for path in out.glob("*.mp4")] == ["rtsp_a_554_x-19700101T000000Z.mp4"]
        writer.write(frame(12, (64, 64)), tracked((64, 64)))
    assert writer.files == 3
    found = {path.name: [f.shape[:2] for f in read_frames(path)] for path in out.glob("*.mp4")}
    assert found == {
        "rtsp_a_554_x-19700101T000000Z.mp4": [(48, 80)] * 10,
        "rtsp_a_554_x-19700101T000100Z.mp4": [(48, 80)] * 2,
        "rtsp_a_554_x-19700101T000100Z-2.mp4": [(64, 64)],
    }
    assert [path.name for path in out.glob(".cspdarknet*")] == []


def test_a_segment_that_fails_leaves_those_before_it(tmp_path):
    pytest.importorskip("av", reason="videos need PyAV")
    paths = dated_paths(tmp_path, "camera", now=lambda: 0)
    write_and_fail(SegmentWriter(paths, seconds=1), 15)
    assert [len(list(read_frames(path))) for path in tmp_path.glob("*.mp4")] == [10]
    assert [path.name for path in tmp_path.glob(".cspdarknet*")] == []


def test_times_of_frames_are_kept(tmp_path):
    av = pytest.importorskip("av", reason="videos need PyAV")
    with SegmentWriter(lambda: tmp_path / "a.mp4") as writer:
        for time in (5.0, 5.1, 5.7, 5.7, 8.0):
            writer.write(frame(0, time=time), tracked())
    with av.open(str(tmp_path / "a.mp4")) as container:
        times = [picture.time for picture in container.decode(video=0)]
        assert container.duration / 1e6 >= 3.0
    np.testing.assert_allclose(times, [0, 0.1, 0.7, 0.7, 3.0], atol=1e-3)


def test_the_standard_output_of_a_reader_that_is_gone(tmp_path, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(frame_writers.sys, "stdout", stream)
        with (
            pytest.raises(WriteError) as raised,
            JsonLinesWriter(frame_writers.STANDARD_OUTPUT, "camera") as writer,
        ):
            writer.write(frame(0), tracked())
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    assert isinstance(raised.value.__cause__, BrokenPipeError)
