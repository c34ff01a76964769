"""The report of a multi-label classifier."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from cspdarknet._files import OutputFolder
from cspdarknet.data import MultiLabelDataset
from cspdarknet.evaluate import MultiLabelEvaluation
from cspdarknet.reports import multi_label, write_classification_report
from cspdarknet.reports.multi_label import _tile, draw_bars, draw_wrong_labels
from image_datasets import COLORS, write_class_folders

pytestmark = pytest.mark.one_backend


@pytest.fixture
def evaluation(tmp_path):
    """Three images: all right; red is missed; red is missed and green is wrong."""
    paths = tuple(sorted(write_class_folders(tmp_path / "images", 1).rglob("*.png")))
    labels = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]], bool)
    probabilities = np.array([[0.8, 0.7, 0.1], [0.2, 0.9, 0.4], [0.6, 0.95, 0.3]])
    dataset = MultiLabelDataset(tuple(COLORS), paths, labels)
    return MultiLabelEvaluation(dataset, probabilities, {}, (0.5, 0.6, 0.5))


def test_metrics_and_pictures(evaluation, tmp_path):
    write_classification_report(OutputFolder(tmp_path / "out"), evaluation, "Title")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {"average_precision.png", "mistakes.png"}
    assert names == {"report.html", "evaluation.json", "predictions.csv", *pictures}
    metrics = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert metrics["mean_average_precision"] == pytest.approx(evaluation.map)
    page = (tmp_path / "out/report.html").read_text()
    assert "all classes right in 33.33% of the images" in page
    assert "<td>green<td>2<td>0.583<td>0.6<td>0.667<td>1.000<td>0.800" in page
    rows = list(csv.DictReader((tmp_path / "out/predictions.csv").open()))
    assert [row["missed_classes"] for row in rows] == ["", "red", "red"]
    assert [row["wrong_classes"] for row in rows] == ["", "", "green"]
    assert rows[2]["predicted_classes"] == "blue;green"


def test_captions_of_mistakes(evaluation):
    assert evaluation.mistakes == [2, 1]
    texts = [text for text, _ in _tile(evaluation, 2).caption]
    assert texts == ["missed: red 30%", "wrong: green 95%", evaluation.dataset.paths[2].name]
    assert draw_wrong_labels(evaluation) is not None
    right = evaluation.dataset.labels.astype(float)
    perfect = MultiLabelEvaluation(evaluation.dataset, right, {}, (0.5,) * 3)
    assert draw_wrong_labels(perfect) is None


def test_bars_of_the_lowest_of_many_classes(monkeypatch):
    monkeypatch.setattr(multi_label, "MAX_BARS", 2)
    heights = []
    for count in (2, 9):
        file = io.BytesIO()
        draw_bars([f"${i}" for i in range(count)], np.linspace(0, 1, count), file)
        heights.append(Image.open(file).height)
    assert heights[0] == heights[1]
