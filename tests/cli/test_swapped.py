"""Swapped arguments of the commands that take a model and other files."""

import pytest

from support import run_command

pytestmark = pytest.mark.one_backend


@pytest.fixture
def files(tmp_path):
    """An image, a folder of images, a weight file, and folders of a preset and of a run."""
    for name in ("photo.jpg", "photos/a.jpg", "weights.pth", "run/run.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "preset").mkdir()
    for name in ("config.json", "model.weights.h5"):
        (tmp_path / "preset" / name).write_bytes(b"")
    return tmp_path


def error_of(*arguments):
    return str(run_command(*arguments).exception)


@pytest.mark.parametrize("model", ["yolox_nano_bccd", "hf://a/b", "weights.pth", "preset", "run"])
@pytest.mark.parametrize("source", ["photo.jpg", "photos"])
def test_a_model_after_the_images(files, monkeypatch, model, source):
    monkeypatch.chdir(files)
    error = error_of("detect", source, model)
    assert f"Received: {source}, while {model} is one. Did you swap the arguments?" in error
    assert f"detect {model} {source}`" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "photo.jpg", "photos", "yolox_nano_bccd"),
        ("features", "photos", "yolox_nano_bccd", "--out", "maps"),
        ("evaluate", "photos", "yolox_nano_bccd"),
        ("export", "model.onnx", "yolox_nano_bccd"),
        ("convert", "new", "yolox_nano_bccd"),
    ],
)
def test_every_command(files, monkeypatch, arguments):
    monkeypatch.chdir(files)
    assert "Did you swap the arguments?" in error_of(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("detect", "yolox_nano_bcd", "photo.jpg"),
        ("detect", "no.jpg", "photo.jpg"),
        ("detect", "yolox_nano_bccd", "no.jpg"),
        ("convert", "weights.pth", "preset"),
    ],
)
def test_other_errors_are_not_taken_for_swapped_arguments(files, monkeypatch, arguments):
    monkeypatch.chdir(files)
    result = run_command(*arguments)
    assert result.exit_code
    assert "swap" not in str(result.exception)
