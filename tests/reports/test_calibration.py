"""Calibration in the report of a classifier."""

import io
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from cspdarknet._files import OutputFolder
from cspdarknet.data import ClassificationDataset
from cspdarknet.evaluate import ClassificationEvaluation, calibrate
from cspdarknet.reports import write_classification_report
from cspdarknet.reports.calibration import calibration_picture, draw_reliability
from image_datasets import COLORS, write_class_folders

pytestmark = pytest.mark.one_backend

PROBABILITIES = np.array([[0.9, 0.05, 0.05]] * 4)
LABELS = np.array([0, 0, 0, 1])


def drawn(calibration):
    file = io.BytesIO()
    draw_reliability(calibration, file)
    return Image.open(file).convert("RGB")


def test_the_report_has_the_picture_and_the_metrics(tmp_path):
    paths = sorted(write_class_folders(tmp_path / "images", 2).rglob("*.png"))[:4]
    dataset = ClassificationDataset(tuple(COLORS), tuple(paths), LABELS)
    evaluation = ClassificationEvaluation(dataset, PROBABILITIES, {}).calibrated()
    write_classification_report(OutputFolder(tmp_path / "out"), evaluation, "Title")
    page = (tmp_path / "out/report.html").read_text()
    temperature = evaluation.calibration.temperature
    assert f"<th>with temperature {temperature:.3f}" in page
    assert "expected calibration error (ECE)<td>15.00%<td>0.00%" in page
    assert Image.open(tmp_path / "out/reliability.png").width > 300
    stored = json.loads((tmp_path / "out/evaluation.json").read_text())["calibration"]
    assert stored["temperature"] == pytest.approx(temperature)
    assert stored["before"]["ece"] == pytest.approx(0.15)
    assert stored["before"]["bins"][13] == {
        **{"images": 4, "confidence": pytest.approx(0.9), "accuracy": 0.75}
    }


def test_a_bar_is_as_high_as_the_accuracy():
    """Of half as many correct images, the bar of the left panel is half as high."""

    def height(correct):
        labels = (np.arange(10) >= correct).astype(int)
        picture = drawn(calibrate(np.tile([0.9, 0.05, 0.05], (10, 1)), labels))
        pixels = np.asarray(picture)[:, : picture.width // 2].astype(int)
        blue = pixels[..., 2] - pixels[..., 0] > 60
        return blue.any(axis=1).sum()

    assert height(8) == pytest.approx(2 * height(4), rel=0.05)


def test_without_a_temperature_there_is_one_panel_and_the_reason():
    perfect = calibrate(np.eye(3), np.arange(3))
    both = calibrate(PROBABILITIES, LABELS)
    assert drawn(perfect).width < 0.6 * drawn(both).width
    assert "No temperature from 0.001 to 1000" in calibration_picture(perfect).caption
