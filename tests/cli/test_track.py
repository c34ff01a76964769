"""`cspdarknet track`."""

import csv
import json
import sys

import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app, streams
from cspdarknet.inference.video import read_frames
from cspdarknet.tiles import Tiles
from fake_detector import load_fake_predictor

pytestmark = pytest.mark.one_backend
pytest.importorskip("trackers", reason="tracking needs trackers")


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(streams, "load_predictor", load_fake_predictor)

    def invoke(*arguments):
        return CliRunner().invoke(
            app, ["track", "model", *map(str, arguments)], env={"COLUMNS": "200"}
        )

    return invoke


def test_all_results_of_a_video(run, video, tmp_path):
    """A red square moves to the right, over the line and out of the zone."""
    out = tmp_path / "out"
    files = ("--mot", tmp_path / "a.txt", "--csv", tmp_path / "a.csv")
    lines = ("--json-lines", tmp_path / "a.jsonl", "--out", out)
    places = ("--count-line", "40,0,40,48", "--zone", "0,0,30,0,30,48,0,48")
    result = run(video, *files, *lines, *places)
    assert result.exit_code == 0, result.output
    assert "line 1: 1 in, 0 out" in result.output
    assert "zone 1: 1 objects, 0 of them at the end" in result.output
    assert result.output.splitlines()[-1] == f"{video}: 12 frames."
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert {row["tracker_id"] for row in rows} == {"0"}
    assert [row["frame"] for row in rows] == [str(i) for i in range(1, 12)]
    mot = (tmp_path / "a.txt").read_text().splitlines()
    assert [line.split(",")[0] for line in mot] == [str(i) for i in range(2, 13)]
    states = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [state["detections"][0]["tracker_id"] for state in states] == [-1] + [0] * 11
    assert states[-1]["counts"]["lines"] == [{"in": 1, "out": 0}]
    assert len(list(read_frames(out / video.name))) == 12
    again = run(video, *files, *lines, *places)
    assert again.exit_code == 0, again.output
    assert {path.name for path in out.glob("[!.]*")} == {video.name}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count-line", "1,2,3"], "`--count-line` must be points in pixels"),
        (["--count-line", "1,2,3,4,5,6"], "A line must have two different points"),
        (["--zone", "1,2,3,4"], "A zone must have three or more points"),
        (["--zone", "a,b"], "`--zone` must be points in pixels"),
        (["--mot", "{}"], "not the result of an earlier run"),
        (["--csv", "{}"], "not the result of an earlier run"),
        (["--out", "{}"], "must name a folder"),
        (["--out", "{}/.."], "holds the video"),
        (["--csv", "a.x", "--mot", "a.x"], "must name two files"),
        (["--overlap", "0.1"], "needs `--tile`"),
    ],
)
def test_errors_come_before_the_model_is_loaded(run, video, monkeypatch, arguments, message):
    before = video.read_bytes()
    monkeypatch.setattr(streams, "load_predictor", lambda *a, **k: pytest.fail("loaded"))
    result = run(video, *(a.replace("{}", str(video)) for a in arguments))
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert video.read_bytes() == before


def test_tiles_of_frames_are_an_option_of_the_predictor(run, video, monkeypatch):
    given = {}
    monkeypatch.setattr(
        streams, "load_predictor", lambda *a, **k: given.update(k) or load_fake_predictor(*a, **k)
    )
    result = run(video, "--tile", "64", "--overlap", "0.3", "--with-whole")
    assert result.exit_code == 0, result.output
    assert given["tiles"] == Tiles(64, 0.3, with_whole=True)


def test_without_trackers_the_extra_is_named(run, video, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    monkeypatch.setattr(streams, "load_predictor", lambda *a, **k: pytest.fail("loaded"))
    result = run(video)
    assert isinstance(result.exception, ImportError)
    assert "cspdarknet[track]" in str(result.exception)
