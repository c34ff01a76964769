"""`cspdarknet detect --format`."""

import csv
import json
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.cli import detect as command
from fake_detector import FakePredictor, load_fake_predictor, save

pytestmark = pytest.mark.one_backend


@pytest.fixture
def folder(tmp_path):
    """A folder of four images, the third of which is damaged, one in a subfolder."""
    (tmp_path / "images/more").mkdir(parents=True)
    for i, size in enumerate([(40, 60), (50, 50), (30, 90), (64, 64)]):
        name = f"more/{i}.png" if i == 3 else f"{i}.png"
        save(tmp_path / "images" / name, size, [("red", 2, 3, 12, 13 + i), ("blue", 20, 5, 40, 25)])
    (tmp_path / "images/2.png").write_bytes(b"not an image")
    return tmp_path / "images"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(sys.modules[command.__module__], "load_predictor", load_fake_predictor)
    monkeypatch.setattr("cspdarknet.inference.result_folder.model_sha256", str)

    def invoke(*arguments, model="model"):
        return CliRunner().invoke(
            app, ["detect", model, *map(str, arguments)], env={"COLUMNS": "200"}
        )

    return invoke


def visible(out):
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("[!.]*") if p.is_file())


def test_forms_in_a_folder(run, folder, tmp_path):
    out = tmp_path / "out"
    result = run(folder, "--out", out, "--format", "yolo, csv,JSON", "--csv", tmp_path / "a.csv")
    assert result.exit_code == 1
    assert "2.png: not an image" in result.output
    assert "red 1, blue 1" in result.output
    assert f"Detections written to {out / 'labels'}." in result.output
    labels = ["labels/0.txt", "labels/1.txt", "labels/more/3.txt"]
    assert visible(out) == ["classes.txt", "detections.csv", "detections.json", *labels]
    assert (out / "detections.csv").read_text() == (tmp_path / "a.csv").read_text()
    assert len(json.loads((out / "detections.json").read_text())["annotations"]) == 6


def test_copies_with_other_forms(run, folder, tmp_path):
    out = tmp_path / "out"
    run(folder, "--out", out, "--format", "images,csv")
    assert visible(out) == ["0.png", "1.png", "detections.csv", "more/3.png"]
    (out / "1.png").unlink()
    result = run(folder, "--out", out, "--format", "images,csv")
    assert (out / "1.png").exists()
    assert "Copies of 3 files with boxes written to" in result.output


def test_an_interrupted_run_is_continued(run, folder, tmp_path, monkeypatch):
    """Also with other forms, for which no image is detected in again."""
    stream = FakePredictor.stream
    detected = []

    def interrupted(self, images, **options):
        for i, item in enumerate(stream(self, images, **options)):
            if i == stops[0]:
                raise KeyboardInterrupt
            detected.append(item[0].name)
            yield item

    stops = [2]
    monkeypatch.setattr(FakePredictor, "stream", interrupted)
    out = tmp_path / "out"
    result = run(folder, "--out", out, "--format", "csv")
    assert "Run the same command again to continue" in result.output
    assert not (out / "detections.csv").exists()
    stops[0] = None
    assert run(folder, "--out", out, "--format", "csv").exit_code == 1
    assert sorted(detected) == ["0.png", "1.png", "2.png", "3.png"]
    assert len(list(csv.DictReader((out / "detections.csv").open()))) == 6
    detected.clear()
    run(folder, "--out", out, "--format", "voc")
    assert detected == ["2.png"]
    assert (out / "Annotations/more/3.xml").exists()
    result = run(folder, "--out", out, "--format", "csv", "--score-threshold", "0.8")
    assert "must not hold detections of another model, or of other options" in str(result.exception)
    result = run(folder, "--out", out, "--format", "csv", model="other")
    assert "must not hold detections of another model" in str(result.exception)
    run(folder, "--out", out, "--format", "csv", "--runtime", "keras")  # the same detections


def test_ids_of_annotations(run, folder, tmp_path):
    (folder / "2.png").unlink()
    content = {
        "images": [{"id": 70 + i, "file_name": f"x/{i}.png"} for i in (0, 1, 3)],
        "categories": [{"id": 5, "name": "blue"}, {"id": 9, "name": "red"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    ids = ("--coco-annotations", tmp_path / "truth.json")
    assert run(folder, "--out", tmp_path / "out", "--format", "coco", *ids).exit_code == 0
    rows = json.loads((tmp_path / "out/coco_results.json").read_text())
    assert {(row["image_id"], row["category_id"]) for row in rows} == {
        *((70, 5), (70, 9), (71, 5), (71, 9), (73, 5), (73, 9))
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "csv"], "`--format` needs `--out`, a folder. Received: --format csv"),
        (["--format", "xml", "--out", "out"], "one or more of images, json, coco, csv, parquet"),
        (["--format", "csv,", "--out", "out"], "separated by commas"),
        (["--format", "yolo,images", "--out", "out"], "labels/4.png would be among the results"),
        (["--format", "yolo", "--out", "out"], "x/5.jpg and x/5.png: rename one"),
    ],
)
def test_errors_come_before_the_model_is_loaded(
    run, folder, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    if "images" in message or "among" in message:
        (folder / "labels").mkdir()
        Image.new("RGB", (9, 9)).save(folder / "labels/4.png")
    if "rename" in message:
        (folder / "x").mkdir()
        for name in ("5.jpg", "5.png"):
            Image.new("RGB", (9, 9)).save(folder / "x" / name)
    monkeypatch.setattr(
        sys.modules[command.__module__], "load_predictor", lambda *a, **k: pytest.fail("loaded")
    )
    result = run(folder, *arguments)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_choices_of_results_reach_the_model(run, folder, monkeypatch):
    given = []

    def load(model, task, options=None, **settings):
        given.append(options)
        return FakePredictor()

    monkeypatch.setattr(sys.modules[command.__module__], "load_predictor", load)
    choices = ("--classes", "red, 1", "--class-agnostic-nms", "--max-detections-per-class", "7")
    assert run(folder / "0.png", *choices).exit_code == 0
    assert run(folder / "0.png", "--class-aware-nms").exit_code == 0
    first, second = given
    assert (first.classes, first.max_detections_per_class) == (("red", "1"), 7)
    assert (first.class_agnostic_nms, second.class_agnostic_nms) == (True, False)
    assert "list of names or ids" not in run(folder / "0.png", "--classes", ",").output
