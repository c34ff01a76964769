"""The report of an evaluation or a training."""

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from cspdarknet._files import OutputFolder
from cspdarknet.data import Problem
from cspdarknet.reports.evaluation import TrainingRecord, write_report
from cspdarknet.reports.page import Picture

pytestmark = pytest.mark.one_backend

ROWS = [{"file": "a,b.png", "class": "cat"}, {"file": "\udcff.png", "class": "dog"}]


class Evaluation:
    """Stands in for an evaluation of either task."""

    def __init__(self):
        self.errors = {Path("bad.png"): "bad.png: <damaged>"}

    def to_json(self):
        return {"accuracy": 0.5}


def write(folder, training=None):
    picture = Picture("a.png", "A <picture>", lambda file: file.write(b"png"), "<p>caption</p>")
    content = Evaluation(), "<p>summary</p>", [picture], ROWS, "the classes."
    write_report(OutputFolder(folder), "<Title>", *content, training)
    return (folder / "report.html").read_text()


def test_metrics_pictures_predictions_and_unreadable_images(tmp_path):
    page = write(tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == {"accuracy": 0.5}
    assert (tmp_path / "a.png").read_bytes() == b"png"
    with (tmp_path / "predictions.csv").open(newline="", errors="surrogateescape") as file:
        assert list(csv.DictReader(file)) == ROWS
    assert {path.name for path in tmp_path.iterdir()} == {
        *("evaluation.json", "predictions.csv", "a.png", "report.html")
    }
    for text in ("&lt;Title&gt;", "<p>summary</p>", "<p>caption</p>", "A &lt;picture&gt;"):
        assert text in page
    assert "src='a.png'" in page
    assert "<a href='predictions.csv'>predictions.csv</a>: the classes." in page
    assert "bad.png: &lt;damaged&gt;" in page
    assert "Settings" not in page


def test_the_page_of_a_training(history, tmp_path):
    settings = {
        **{"model": "<yolox>", "data": "cells", "recipe": {"batch_size": 4}},
        "splits": {"train": {"images": 9}, "validation": {"images": 3}},
    }
    problems = [Problem("unreadable image", Path("cut.png"), "truncated")]
    page = write(tmp_path, TrainingRecord(history, settings, problems))
    assert (tmp_path / "curves.png").exists()
    assert page.index("curves.png") < page.index("<p>summary") < page.index("cut.png")
    for text in (
        *("<td>start<td>&lt;yolox&gt;", "<td>images<td>9 for training, 3 for validation"),
        *("<td>epochs<td>4<", "<td>best epoch<td>3<", "truncated", "Skipped files"),
    ):
        assert text in page
    # The settings, which are longer than the rest, are folded.
    assert "&quot;batch_size&quot;: 4" in page[page.index("<details>") : page.index("</details>")]
    assert "<a href='run.json'>" in page
    assert "Skipped files" not in write(tmp_path, TrainingRecord(history, {}))


def test_a_single_epoch_has_a_table_in_place_of_curves(history, tmp_path):
    page = write(tmp_path, TrainingRecord(history[2:3], {}))
    assert not (tmp_path / "curves.png").exists()
    assert "<th>mAP<th>mAP50<tr><td>1.000" in page
    assert "<td>0.300<td>0.375</table>" in page
