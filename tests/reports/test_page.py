"""The page of a report, and what it has of a training."""

import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from cspdarknet._files import OutputFolder
from cspdarknet.data import Problem
from cspdarknet.reports.page import Picture, TrainingRecord, format_metric, table, write_report

pytestmark = pytest.mark.one_backend


class Evaluation:
    """Stands in for an evaluation of either task."""

    def __init__(self):
        self.errors = {Path("bad.png"): "bad.png: <damaged>"}

    def to_json(self):
        return {"accuracy": 0.5}


def write(folder, **arguments):
    picture = Picture("a.png", "A <picture>", lambda file: file.write(b"png"), "<p>caption</p>")
    write_report(
        OutputFolder(folder), "<Title>", Evaluation(), "<p>summary</p>", [picture], **arguments
    )
    return (folder / "report.html").read_text()


def test_metrics_pictures_and_unreadable_images(tmp_path):
    page = write(tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == {"accuracy": 0.5}
    assert (tmp_path / "a.png").read_bytes() == b"png"
    assert {path.name for path in tmp_path.iterdir()} == {
        *("evaluation.json", "a.png", "report.html")
    }
    for text in ("&lt;Title&gt;", "<p>summary</p>", "<p>caption</p>", "A &lt;picture&gt;"):
        assert text in page
    assert "src='a.png'" in page
    assert "bad.png: &lt;damaged&gt;" in page
    assert "Settings" not in page


def test_the_page_of_a_training(history, tmp_path):
    training = TrainingRecord(
        history, {"recipe": "<yolox>"}, [Problem("unreadable image", Path("cut.png"), "truncated")]
    )
    page = write(tmp_path, training=training)
    assert (tmp_path / "curves.png").exists()
    assert page.index("curves.png") < page.index("summary") < page.index("cut.png")
    for text in ("&lt;yolox&gt;", "truncated", "Skipped files"):
        assert text in page
    assert "Skipped files" not in write(tmp_path, training=TrainingRecord(history, {}))


def test_tables_are_escaped():
    assert table(("a", "b"), [("<i>", 1)]) == "<table><tr><th>a<th>b<tr><td>&lt;i&gt;<td>1</table>"


def test_metrics_that_are_undefined_are_dashes():
    assert [format_metric(value) for value in (0.12345, None, float("nan"))] == ["0.123", "–", "–"]
