"""The report of a classifier."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from cspdarknet._files import OutputFolder
from cspdarknet.data import ClassificationDataset
from cspdarknet.evaluate import ClassificationEvaluation
from cspdarknet.reports import write_classification_report
from cspdarknet.reports.classification import _tile, draw_mistakes
from image_datasets import COLORS, write_class_folders

pytestmark = pytest.mark.one_backend


@pytest.fixture
def evaluation(tmp_path):
    """Five images of three classes; the last class is never predicted."""
    paths = sorted(write_class_folders(tmp_path / "images", 2).rglob("*.png"))[:5]
    probabilities = [
        *([0.7, 0.2, 0.1], [0.3, 0.6, 0.1]),  # blue: one correct, one predicted as green
        *([0.1, 0.8, 0.1], [0.05, 0.9, 0.05]),  # green: both correct
        [0.015, 0.98, 0.005],  # red: predicted as green, with the highest confidence
    ]
    dataset = ClassificationDataset(tuple(COLORS), tuple(paths), np.array([0, 0, 1, 1, 2]))
    return ClassificationEvaluation(dataset, np.array(probabilities), {})


def test_metrics_and_pictures(evaluation, tmp_path):
    write_classification_report(OutputFolder(tmp_path / "out"), evaluation, "Title")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {"confusion.png", "mistakes.png"}
    assert names == {"report.html", "evaluation.json", "predictions.csv", *pictures}
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["accuracy"] == 0.6
    page = (tmp_path / "out/report.html").read_text()
    assert "Accuracy <b>60.00%</b> on 5 images" in page
    assert "top-5" not in page  # of three classes it is always 100 %
    assert "<td>blue<td>2<td>1.000<td>0.500<td>0.667" in page
    assert "<td>red<td>1<td>–<td>0.000<td>0.000" in page  # never predicted: no precision


def test_captions_of_mistakes(evaluation):
    texts = [text for text, _ in _tile(evaluation, 4).caption]
    assert texts == ["label: red", "green 98%", evaluation.dataset.paths[4].name]


def test_mistakes_come_by_confidence(evaluation):
    sheet = draw_mistakes(evaluation)
    assert sheet.width > sheet.height
    first = np.asarray(sheet.crop((20, 20, 120, 120))).mean(axis=(0, 1))
    assert first.argmax() == 0  # the red image
    assert draw_mistakes(evaluation, max_tiles=1).width < sheet.width
    evaluation.dataset.paths[4].unlink()
    assert draw_mistakes(evaluation).size == sheet.size


def test_no_mistakes(evaluation, tmp_path):
    right = ClassificationEvaluation(evaluation.dataset.take([0]), np.eye(3)[:1], {})
    assert draw_mistakes(right) is None
    write_classification_report(OutputFolder(tmp_path / "out"), right, "Title")
    assert not (tmp_path / "out/mistakes.png").exists()
    assert Image.open(tmp_path / "out/confusion.png").width > 300
