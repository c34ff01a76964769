"""`cspdarknet detect`."""

import csv
import json
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.cli import detect as command
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from fake_detector import FakePredictor, load_fake_predictor, save

pytestmark = pytest.mark.one_backend


@pytest.fixture
def files(tmp_path):
    """Five images of several sizes, the third of which is damaged."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i, size in enumerate([(40, 60), (50, 50), (30, 90), (64, 64), (48, 80)]):
        save(folder / f"{i}.png", size, [("red", 2, 3, 12, 13 + i), ("blue", 20, 5, 40, 25)])
    (folder / "2.png").write_bytes(b"not an image")
    return sorted(folder.iterdir())


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(sys.modules[command.__module__], "load_predictor", load_fake_predictor)

    def invoke(*arguments):
        return CliRunner().invoke(
            app, ["detect", "model", *map(str, arguments)], env={"COLUMNS": "200"}
        )

    return invoke


def test_counts_and_files_of_results(run, files, tmp_path):
    result = run(files[0].parent, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    assert result.exit_code == 1
    assert "red 1, blue 1" in result.output
    assert "2.png: not an image" in result.output
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 8
    assert rows[0] == {
        **{"file": str(files[0]), "class": "red", "confidence": "0.9", "frame": ""},
        **{"x1": "2.0", "y1": "3.0", "x2": "12.0", "y2": "13.0"},
    }
    document = json.loads((tmp_path / "a.json").read_text())
    assert [category["name"] for category in document["categories"]] == ["red", "blue"]
    assert len(document["annotations"]) == 8


def test_links_that_lead_nowhere_are_left_out(run, files):
    files[2].unlink()
    files[2].symlink_to("missing.png")
    result = run(files[0].parent)
    assert result.exit_code == 1
    assert "2.png: a link to a missing file" in result.output
    assert "4.png" in result.output


def test_options_reach_the_model(run, files):
    result = run(files[0], "--score-threshold", "0.7", "--max-detections", "3")
    assert "red 1" in result.output
    assert "blue" not in result.output


def test_copies_of_an_earlier_run_are_not_images(run, files, tmp_path):
    out, table = tmp_path / "images/copies", tmp_path / "a.csv"
    for _ in range(2):
        result = run(tmp_path / "images", "--out", out, "--csv", table)
        assert len(table.read_text().splitlines()) == 1 + 8, result.output
        table.unlink()
    assert len(list(out.rglob("*.png"))) == 4


def test_where_the_results_went_is_said(run, files, tmp_path):
    out, table = tmp_path / "copies", tmp_path / "a.csv"
    arguments = (files[0], files[1], "--out", out, "--csv", table)
    lines = run(*arguments).output.splitlines()
    assert lines[-2:] == [
        f"Copies of 2 files with boxes written to {out}.",
        f"Detections written to {table}.",
    ]
    lines = run(*arguments).output.splitlines()
    assert lines[-2:] == [
        f"Copies of 2 files with boxes written to {out}, 2 of them in place of earlier ones.",
        f"Detections written to {table}, in place of an earlier result.",
    ]


def test_a_row_of_the_table_is_one_line_in_a_pipe(run, files, tmp_path):
    name = 20 * "long_name_" + ".png"
    files[0].rename(tmp_path / name)
    (row,) = [line for line in run(tmp_path / name).output.splitlines() if name in line]
    assert row.split() == [name, "2", "red", "1,", "blue", "1", "0.90"]


@pytest.mark.parametrize("option", ["--json", "--csv", "--coco-results"])
def test_standard_output_has_nothing_but_the_results(run, files, tmp_path, option):
    path = tmp_path / "results"
    run(*files[:3], option, path)
    result = run(*files[:3], option, "-")
    assert result.exit_code == 1
    assert result.stdout == path.read_text()
    assert "red 1, blue 1" in result.stderr
    assert "2.png: not an image" in result.stderr


def test_two_images_have_two_copies(run, files, tmp_path):
    """Also where the name of one copy would be that of the other."""
    folder, out = tmp_path / "images", tmp_path / "copies"
    Image.open(files[0]).save(folder / "x.webp", lossless=True)
    Image.open(files[4]).save(folder / "x.webp.jpg")
    assert run(*sorted(folder.glob("x.*")), "--out", out).exit_code == 0
    sizes = {path.name: Image.open(path).size for path in out.glob("x.*")}
    assert sizes == {"x.webp.jpg": (80, 48), "x.webp.jpg.jpg": (60, 40)}


def test_an_interruption_leaves_whole_files(run, files, tmp_path, monkeypatch):
    stream = FakePredictor.stream

    def interrupted(self, *arguments, **options):
        yield next(stream(self, *arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(FakePredictor, "stream", interrupted)
    result = run(tmp_path / "images", "--out", tmp_path / "out", "--json", tmp_path / "a.json")
    assert result.exit_code == 130
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["0.png"]
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jpg"], "no file or folder"),
        (["{}", "--csv", "no/where.csv"], "create no first"),
        (["{}/0.png", "--out", "{}"], "choose another folder"),
        (["{}", "--out", "{}"], "choose another folder"),
        (["{}", "--json", "."], "is a folder: name a file"),
        (["{}", "--csv", "{}"], "is a folder: name a file"),
        (["{}", "--csv", "{}/0.png"], "not the result of an earlier run"),
        (["{}/0.png", "--out", "{}/../others"], "not a copy of an earlier run"),
        (["{}", "--csv", "-", "--json", "-"], "must name two files"),
        (["{}/0.png", "--out", "boxes.jpg"], "must name a folder"),
        (["{}", "--tile", "8"], "`--tile` must be an integer, at least 32"),
        (["{}", "--tile", "64", "--overlap", "1"], "`overlap` must be a fraction"),
        (["{}", "--overlap", "0.2"], "`--overlap 0.2` needs `--tile`"),
        (["{}", "--with-whole"], "`--with-whole` needs `--tile`"),
    ],
)
def test_errors_come_before_the_model_is_loaded(run, files, monkeypatch, arguments, message):
    before = files[0].read_bytes()
    (files[0].parent / "../others").mkdir()
    (files[0].parent / "../others/0.png").write_bytes(b"something else")
    monkeypatch.setattr(
        sys.modules[command.__module__], "load_predictor", lambda *a, **k: pytest.fail("loaded")
    )
    result = run(*(a.replace("{}", str(files[0].parent)) for a in arguments))
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert files[0].read_bytes() == before


def test_models_for_other_tasks_are_refused(files, tmp_path):
    backbone = CSPDarkNetBackbone([8, 12], [1, 1], include_rescaling=True)
    ImageClassifier(backbone, 2).save_to_preset(tmp_path / "classifier")
    for source in (tmp_path / "classifier", "csp_darknet_tiny"):
        result = CliRunner().invoke(app, ["detect", str(source), str(files[0])])
        assert isinstance(result.exception, ValueError)
        assert "is a model for" in str(result.exception)


# Videos.


def test_a_video_has_one_row_in_the_table(run, video, tmp_path):
    result = run(video, "--csv", tmp_path / "a.csv", "--batch-size", "5", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "12 frames" in result.output
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [row["frame"] for row in rows] == [str(i) for i in range(12)]


def test_a_damaged_video_is_left_out(run, video, files, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
    result = run(tmp_path / "bad.mp4", video, files[0], "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "bad.mp4: not a video" in result.output
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"clip.mp4", "0.png"}
    assert Image.open(tmp_path / "out/0.png").size == (60, 40)


def test_a_copy_of_a_video_never_replaces_it(run, video):
    before = video.read_bytes()
    result = run(video, "--out", video.parent)
    assert "choose another folder" in str(result.exception)
    assert video.read_bytes() == before


def test_without_pyav_the_extra_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "clip.mp4").write_bytes(b"")
    result = run(tmp_path / "clip.mp4")
    assert isinstance(result.exception, ImportError)
    assert "cspdarknet[video]" in str(result.exception)
