"""`cspdarknet data check`, `stats` and `show`."""

import json
import shutil

import pytest
from PIL import Image
from typer.testing import CliRunner

from annotation_files import write_labels, write_yolo
from cspdarknet.cli import app
from doctor_images import save_pictures
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs `cspdarknet data`, with the user's cache in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))

    def invoke(*arguments):
        return CliRunner().invoke(app, ["data", *map(str, arguments)])

    return invoke


@pytest.fixture
def cells(tmp_path):
    return write_yolo(tmp_path / "cells", {"train": ["a", "b"], "val": ["c"]})


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_check_prints_how_the_dataset_was_understood(command, cells):
    before = files(cells)
    result = command("check", cells)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert "detection, 2 classes, image size 416" in result.stdout
    assert ["train", "2", "0", "3"] in lines
    assert ["cell", "2", "2", "0", "0", "0", "0"] in lines
    assert "A training would start." in result.stdout
    assert files(cells) == before


def test_check_names_problems_and_exits_with_1(command, cells):
    lines = ["7 0.5 0.5 0.2 0.2", *["0 0.5 0.5 0 0.2"] * 5]
    write_labels(cells / "labels/train/b.txt", lines)
    result = command("check", cells)
    assert result.exit_code == 1
    assert "x invalid box: boxes without an area" in result.stdout
    assert "and 2 more" in result.stdout
    assert "A training would stop: " in result.stdout
    assert "`--on-problem fix`" in result.stdout


def test_no_line_is_cut_where_it_is_piped(command, tmp_path):
    folder = tmp_path / ("a_long_name_" * 12)
    write_class_folders(folder)
    shutil.copy(folder / "red/0.png", folder / "red/copy.png")
    result = command("check", folder)
    assert f"{folder / 'red/0.png'}: has the same bytes as {folder / 'red/copy.png'}" in (
        result.stdout
    )
    assert "…" not in result.stdout
    assert "\x1b" not in result.stdout


def test_names_of_classes_are_not_markup(command, tmp_path):
    for name in ("[red]", "x" * 100):
        save_pictures(tmp_path / "data" / name, range(2))
    result = command("check", tmp_path / "data")
    assert "[red]" in result.stdout
    assert "".join(result.stdout.split()).count("x" * 100) >= 1


def test_the_result_as_json(command, cells, tmp_path):
    result = command("check", cells, "--json", "-", "--image-size", "32")
    content = json.loads(result.stdout)
    assert (content["task"], content["image_size"]) == ("detection", 32)
    result = command("check", cells, "--json", tmp_path / "check.json", "--image-size", "32")
    assert json.loads((tmp_path / "check.json").read_text()) == content
    assert "A training would start." in result.stdout
    result = command("check", cells, "--json", tmp_path / "missing/check.json")
    assert isinstance(result.exception, ValueError)


def test_the_cache_is_in_the_folder_that_is_named(command, cells, tmp_path):
    command("check", cells, "--cache", tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert not (tmp_path / "user").exists()
    command("check", cells)
    assert len(list((tmp_path / "user/cspdarknet").iterdir())) == 1


def test_a_cache_of_the_user_that_cannot_be_written_is_not_needed(command, cells, tmp_path):
    (tmp_path / "user").write_text("a file")
    assert command("check", cells).exit_code == 0


def test_a_path_that_does_not_exist(command, tmp_path):
    result = command("check", tmp_path / "missing")
    assert isinstance(result.exception, ValueError)
    assert "There is no folder or file" in str(result.exception)


def test_stats_writes_a_page(command, cells, tmp_path):
    pytest.importorskip("matplotlib")
    result = command("stats", cells, "--out", tmp_path / "page", "--image-size", "32x64")
    assert result.exit_code == 0, result.exception
    assert (tmp_path / "page/report.html").is_file()
    assert "Box sizes at 32x64 pixels" in (tmp_path / "page/report.html").read_text()
    assert str(tmp_path / "page/report.html") in result.stdout


@pytest.mark.parametrize("name", ["stats", "show"])
def test_results_are_not_written_among_the_images(command, cells, name):
    before = files(cells)
    result = command(name, cells, "--out", cells / "images")
    assert "is inside the dataset" in str(result.exception)
    assert files(cells) == before


def test_show_writes_what_the_network_gets(command, cells, tmp_path):
    write_labels(cells / "labels/train/b.txt", ["0 0.5 0.5 0 0.2"])
    result = command("show", cells, "--out", tmp_path / "out", "--image-size", "64")
    assert result.exit_code == 0, result.exception
    assert "1 problem mended or left out" in result.stdout
    assert files(tmp_path / "out") == ["001.png", "002.png", "all.png"]
    assert Image.open(tmp_path / "out/001.png").size == (64, 64)


def test_rectangles_of_gray_images(command, cells, tmp_path):
    for path in (cells / "images").rglob("*.jpg"):
        Image.open(path).convert("L").save(path)
    options = ("--channels", "1", "--image-size", "32x64")
    result = command("check", cells, *options)
    assert "detection, 2 classes, image size 32x64, 1 channel\n" in result.stdout
    assert result.exit_code == 0, result.stdout
    result = command("show", cells, "--out", tmp_path / "out", *options)
    assert "letterboxed to 32x64 pixels." in result.stdout
    assert Image.open(tmp_path / "out/001.png").size == (64, 32)
    assert command("check", cells, "--image-size", "32x").exit_code == 2
    result = command("show", cells, "--out", tmp_path / "out", "--image-size", "64x5000")
    assert "must be at most 4096. Received: 64x5000" in str(result.exception)


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_show_writes_training_batches(command, cells, tmp_path, task):
    pytest.importorskip("grain")
    source = cells if task == "detection" else write_class_folders(tmp_path / "colors")
    options = ("--augmented", "--recipe", "scratch", "--count", "3", "--image-size", "64")
    result = command("show", source, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.exception
    assert "3 training images of the recipe scratch" in result.stdout
    assert len(files(tmp_path / "out")) == 4


def test_show_of_a_dataset_that_cannot_be_trained_on(command, tmp_path):
    write_class_folders(tmp_path / "colors", per_class=1)
    result = command("show", tmp_path / "colors", "--out", tmp_path / "out", "--augmented")
    assert "single image" in str(result.exception)
