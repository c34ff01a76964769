"""The report of a detector."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
pytest.importorskip("pycocotools", reason="mAP needs pycocotools")
from cspdarknet._files import OutputFolder
from cspdarknet.data import DetectionDataset
from cspdarknet.detections import Detections
from cspdarknet.evaluate import DetectionEvaluation
from cspdarknet.reports import write_detection_report
from cspdarknet.reports.detection import PALE, _tile, draw_mistakes
from cspdarknet.visualize import class_color
from fake_detector import save

pytestmark = pytest.mark.one_backend

SIZE = (80, 100)
NAMES = ("red", "blue")
RED, MISSED, BLUE = (5, 5, 25, 25), (50, 5, 70, 25), (40, 30, 70, 60)


def rows_of(rows):
    """Boxes and class ids of rows `(class id, x1, y1, x2, y2)`."""
    table = np.array(rows, "float32").reshape(-1, 5)
    return table[:, 1:], table[:, 0].astype("int64")


def evaluation_of(folder, *images):
    """The evaluation of gray images, each with ground truth and detections as rows."""
    folder.mkdir()
    truth, detections = [], []
    for labeled, detected in images:
        truth.append(rows_of(labeled))
        boxes, classes = rows_of(detected)
        detections.append(Detections(boxes, np.full(len(boxes), 0.9), classes, SIZE, NAMES))
    paths = [save(folder / f"{i}.png", SIZE, []) for i in range(len(images))]
    dataset = DetectionDataset(
        NAMES,
        tuple(paths),
        tuple(boxes for boxes, _ in truth),
        tuple(classes for _, classes in truth),
        tuple(np.zeros(len(boxes), bool) for boxes, _ in truth),
    )
    return DetectionEvaluation(dataset, tuple(detections), {Path("bad.png"): "bad.png: damaged"})


@pytest.fixture
def evaluation(tmp_path):
    """Three images; in the second one, a red box is missed."""
    return evaluation_of(
        tmp_path / "images",
        ([(0, *RED)], [(0, *RED)]),
        ([(0, *RED), (0, *MISSED), (1, *BLUE)], [(0, *RED), (1, *BLUE)]),
        ([(0, *RED)], [(0, *RED)]),
    )


def test_metrics_and_pictures(evaluation, tmp_path):
    write_detection_report(OutputFolder(tmp_path / "out"), evaluation, "<Title>")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {"precision_recall.png", "confusion.png", "mistakes.png"}
    assert names == {"report.html", "evaluation.json", "predictions.csv", *pictures}
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["boxes"] == 5
    page = (tmp_path / "out/report.html").read_text()
    assert f"mAP <b>{evaluation.average_precision.map:.3f}" in page
    assert "<td>blue<td>1<td>1.000<td>1.000<td>1<td>0<td>1.000<td>1.000<td>1.000" in page
    for text in ("&lt;Title&gt;", "bad.png: damaged", *pictures):
        assert text in page
    for name in pictures:
        assert Image.open(tmp_path / "out" / name).width > 300


@pytest.mark.parametrize(
    ("score_threshold", "text"),
    [
        (None, "score threshold 0.45."),
        (0.95, "score threshold 0.95."),
        ((0.95, 0.25), "score thresholds red 0.95, blue 0.25."),
    ],
)
def test_the_counts_of_each_image_are_those_at_a_threshold(
    evaluation, tmp_path, score_threshold, text
):
    out = OutputFolder(tmp_path / "out")
    write_detection_report(out, evaluation, "Title", score_threshold=score_threshold)
    assert text in (tmp_path / "out/report.html").read_text()
    with (tmp_path / "out/predictions.csv").open() as file:
        found = [int(row["detections"]) for row in csv.DictReader(file)]
    assert found == {None: [1, 2, 1], 0.95: [0, 0, 0]}.get(score_threshold, [0, 1, 0])


def test_a_dataset_without_boxes(tmp_path):
    evaluation = evaluation_of(tmp_path / "images", ([], []))
    write_detection_report(OutputFolder(tmp_path / "out"), evaluation, "Nothing")
    assert "mAP is undefined" in (tmp_path / "out/report.html").read_text()
    assert not (tmp_path / "out/precision_recall.png").exists()


def test_only_images_with_mistakes_are_drawn(evaluation, tmp_path):
    sheet = draw_mistakes(evaluation)
    assert evaluation.mistakes == [(0, 0), (1, 0), (0, 0)]
    assert sheet.width < 450  # a single image
    right = evaluation_of(tmp_path / "right", ([(0, *RED)], [(0, *RED)]))
    assert draw_mistakes(right) is None


def test_captions_count_the_mistakes(evaluation):
    (name, _), (counts, _) = _tile(evaluation, 1).caption
    assert (name, counts) == ("1.png", "1 of 3 boxes missed, 0 false positives")


def test_how_boxes_are_drawn(tmp_path):
    evaluation = evaluation_of(
        tmp_path / "images", ([(0, *RED), (0, *MISSED)], [(0, *RED), (1, *BLUE)])
    )
    tile = np.asarray(draw_mistakes(evaluation))[10:, 10:]  # without the margin
    scale = 4  # 100 pixels become 400

    def left_edge(box):
        return tile[box[1] * scale + 5 : box[3] * scale - 5, box[0] * scale + 1]

    assert (left_edge(BLUE) == class_color(1)).all()  # a false positive: solid
    dashes = (left_edge(MISSED) == class_color(0)).all(axis=1)
    assert 0.3 < dashes.mean() < 0.7  # missed: dashed
    true_positive = tile[RED[1] * scale + 5 : RED[3] * scale - 5, RED[0] * scale]
    assert (true_positive == PALE).all()
