"""`cspdarknet detect` on cameras, streams and videos, frame by frame."""

import json
import os
import signal
from fractions import Fraction

import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app, streams
from cspdarknet.inference.video import read_frames
from fake_detector import FakePredictor, load_fake_predictor, paint
from mjpeg_server import MjpegServer

pytestmark = pytest.mark.one_backend
pytest.importorskip("av", reason="streams need PyAV")


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(streams, "load_predictor", load_fake_predictor)

    def invoke(*arguments):
        return CliRunner().invoke(
            app, ["detect", "model", *map(str, arguments)], env={"COLUMNS": "200"}
        )

    return invoke


@pytest.fixture
def camera():
    """A camera that ends after three images, in which a red square moves to the right."""
    server = MjpegServer()
    images = (paint((48, 80), [("red", 4 + 4 * i, 8, 24 + 4 * i, 28)]) for i in range(3))
    server.send(*images, None)
    yield server
    server.stop()


def test_json_lines_of_a_video_on_the_standard_output(run, video):
    result = run(video, "--json-lines", "-", "--batch-size", "5")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert [line["time"] for line in lines] == [i / 10 for i in range(12)]
    assert all(line["detections"][0]["class_name"] == "red" for line in lines)
    assert "age" not in lines[0]
    assert f"{video}: 12 frames." in result.stderr


def test_a_camera_that_is_lost(run, camera, tmp_path):
    """What was received is complete, and the command fails."""
    arguments = ("--every-frame", "--reconnect", 0, "--json-lines", tmp_path / "a.jsonl")
    result = run(camera.url, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "lost after 3 frames" in result.output
    assert "3 frames; a result came at most" in result.output
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [camera.url] * 3
    assert all(line["age"] >= 0 for line in lines)
    (path,) = (tmp_path / "out").glob("http_127.0.0.1_*_camera.mjpg-*Z.mp4")
    assert len(list(read_frames(path))) == 3


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_stream_with_whole_files(run, video, tmp_path, monkeypatch, name):
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    number = getattr(signal, name)
    before = signal.getsignal(number)
    results = FakePredictor.stream

    def stream(self, images, **options):
        for i, result in enumerate(results(self, images, **options)):
            if i == 3:
                signal.raise_signal(number)
            yield result

    monkeypatch.setattr(FakePredictor, "stream", stream)
    result = run(video, "--json-lines", tmp_path / "a.jsonl", "--out", tmp_path / "out")
    assert result.exit_code == 128 + number
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert 4 <= len(lines) < 12
    assert [json.loads(line)["frame"] for line in lines] == list(range(len(lines)))
    assert len(list(read_frames(tmp_path / "out" / video.name))) == len(lines)
    assert signal.getsignal(number) == before


def test_standard_input(run, video, monkeypatch):
    """A file that is redirected is read as a whole."""
    saved = os.dup(0)
    with video.open("rb") as file:
        os.dup2(file.fileno(), 0)
        try:
            result = run("-", "--json-lines", "-")
        finally:
            os.dup2(saved, 0)
            os.close(saved)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 12
    assert "standard input: 12 frames." in result.stderr


def test_a_pipe_on_standard_input(run, tmp_path):
    """All of its frames, since none may be dropped; it ends with its data."""
    from cspdarknet.inference.video import VideoWriter

    with VideoWriter(tmp_path / "a.mkv", Fraction(10)) as writer:
        for i in range(6):
            writer.write(paint((48, 80), [("red", 4 + 4 * i, 8, 24 + 4 * i, 28)]))
    read, write = os.pipe()
    os.write(write, (tmp_path / "a.mkv").read_bytes())  # less than the pipe holds
    os.close(write)
    saved = os.dup(0)
    os.dup2(read, 0)
    os.close(read)
    try:
        result = run("-", "--json-lines", "-", "--every-frame")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rtsp://a", "rtsp://b"], "Streams must be given one at a time"),
        (["rtsp://a", "--json", "a.json"], "`--json` is for images"),
        (["{}", "--json-lines", "-", "--csv", "a.csv"], "`--csv` is for images"),
        (["{}", "--json-lines", "none/a.jsonl"], "create none first"),
        (["{}", "--json-lines", "{}"], "not the result of an earlier run"),
        (["{}.png", "--json-lines", "-"], "SOURCE must be a video file"),
        (["97"], "Camera 97 cannot be opened"),
        (["http://u:secret@127.0.0.1:1/a.mjpg"], "cannot be opened"),
    ],
)
def test_errors_come_before_the_model_is_loaded(run, video, monkeypatch, arguments, message):
    monkeypatch.setattr(streams, "load_predictor", lambda *a, **k: pytest.fail("loaded"))
    result = run(*(a.replace("{}", str(video)) for a in arguments))
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert "secret" not in result.output + str(result.exception)
