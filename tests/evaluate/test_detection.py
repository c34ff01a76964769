"""Figures about detections, what is right and wrong among them, and the pages that show it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.cli import options as cli_models
from cspdarknet.data.detection.annotations import Problem
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.detection.find import EvaluationSplit
from cspdarknet.detections import Detections
from cspdarknet.evaluate.detection import DetectionEvaluation, evaluate_detector
from cspdarknet.evaluate.matching import match, overlaps
from cspdarknet.reports.detection import (
    draw_worst,
    write_detection_evaluation,
    write_detection_run_report,
)
from cspdarknet.reports.plots import draw_curves
from cspdarknet.train.run_folder import RunFolder
from fake_detector import FakeDetector, save

pytest.importorskip("pycocotools", reason="COCO's figures need pycocotools")
from cspdarknet.evaluate.average_precision import mean_average_precision

pytestmark = pytest.mark.one_backend

SIZE = (480, 640)
NAMES = ("a", "b")


def boxed(*photos, names=NAMES, ignored=None):
    """Photos from lists of `(class, x1, y1, x2, y2)`."""
    rows = [np.array(photo, "float32").reshape(-1, 5) for photo in photos]
    return DetectionDataset(
        names,
        tuple(Path(str(i)) for i in range(len(photos))),
        tuple(row[:, 1:] for row in rows),
        tuple(row[:, 0].astype("int64") for row in rows),
        ignored or tuple(np.zeros(len(row), bool) for row in rows),
    )


def found(*rows):
    """Detections from `(class, score, x1, y1, x2, y2)`."""
    table = np.array(rows, "float64").reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 1], table[:, 0], SIZE)


def as_found(photos, score=0.9):
    return [
        Detections(boxes, np.full(len(boxes), score), labels, SIZE)
        for boxes, labels in zip(photos.boxes, photos.labels, strict=True)
    ]


TRUTH = boxed(
    [(0, 10, 10, 60, 60), (0, 100, 100, 180, 180), (1, 300, 50, 400, 200)],
    [(1, 20, 20, 60, 40)],
    [],
)


def noisy(seed, photos=12):
    """Random boxes, and detections of them that are off, doubled, missing, or made up."""
    rng = np.random.default_rng(seed)
    truth, detections = [], []
    for _ in range(photos):
        n = rng.integers(0, 9)
        corner = rng.uniform(0, 400, (n, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 120, (n, 2))], axis=1)
        labels = rng.integers(0, 2, n)
        truth.append(np.column_stack([labels, boxes]).tolist())
        kept = rng.random(n) < 0.8
        twice = np.concatenate([boxes[kept], boxes[rng.random(n) < 0.3]])
        classes = np.concatenate([labels[kept], rng.integers(0, 2, len(twice) - kept.sum())])
        moved = twice + rng.normal(0, 8, twice.shape)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        scores = np.round(rng.uniform(0.05, 1, len(moved)), 6)
        detections.append(Detections(moved, scores, classes, SIZE))
    return boxed(*truth), detections


# Average precision.


def plain_ap50(truth, detections, label):
    """Average precision at IoU 0.5, from its definition, one box at a time."""
    rows = sorted(
        (
            (float(d.scores[i]), photo, d.boxes[i].tolist())
            for photo, d in enumerate(detections)
            for i in range(len(d))
            if d.classes[i] == label
        ),
        key=lambda row: -row[0],
    )
    free = {
        (photo, i)
        for photo, labels in enumerate(truth.labels)
        for i in np.flatnonzero(labels == label)
    }
    boxes, hits, points = len(free), 0, []
    for seen, (_, photo, (x1, y1, x2, y2)) in enumerate(rows, 1):
        best, place = 0.5, None
        for other, i in sorted(free):
            if other != photo:
                continue
            u1, v1, u2, v2 = truth.boxes[photo][i].tolist()
            shared = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
            iou = shared / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared)
            if iou >= best:
                best, place = iou, (photo, i)
        if place:
            free.remove(place)
            hits += 1
        points.append((hits / boxes, hits / seen))
    at = [max((p for r, p in points if r >= level - 1e-12), default=0) for level in RECALLS]
    return sum(at) / len(at)


RECALLS = [i / 100 for i in range(101)]


@pytest.mark.parametrize("seed", range(5))
def test_ap50_is_that_of_its_definition(seed):
    truth, detections = noisy(seed)
    figures = mean_average_precision(truth, detections)
    expected = [plain_ap50(truth, detections, label) for label in range(2)]
    assert 0.1 < min(expected) < max(expected) < 0.95
    assert [figures.of_class_at_50(i) for i in range(2)] == pytest.approx(expected, abs=1e-9)
    assert figures.map50 == pytest.approx(np.mean(expected))
    assert figures.map < figures.map50


def test_perfect_detections():
    figures = mean_average_precision(TRUTH, as_found(TRUTH))
    for value in (figures.map, figures.map50, figures.map75, figures.max_recall):
        assert value == pytest.approx(1)
    # The areas are 2500, 6400, 15000 and 800 pixels.
    assert figures.map_by_area == pytest.approx({"small": 1, "medium": 1, "large": 1})
    assert np.shape(figures.precision) == (10, 101, 2)


def test_nothing_found():
    figures = mean_average_precision(TRUTH, [found()] * 3)
    assert figures.map == figures.map50 == figures.max_recall == 0


def test_shifted_boxes_count_up_to_their_overlap():
    truth = boxed([(0, 100, 100, 200, 200)], names=("a",))
    # Shifted by a fifth: 80 of 120 parts overlap, 0.667, so 4 of the 10 thresholds are reached.
    figures = mean_average_precision(truth, [found((0, 0.9, 120, 100, 220, 200))])
    assert (figures.map, figures.map50, figures.map75) == pytest.approx((0.4, 1, 0))


def test_doubled_detections_cost_precision():
    twice = [found((0, 0.9, 10, 10, 60, 60), (0, 0.8, 10, 10, 60, 60), (0, 0.7, 90, 90, 200, 200))]
    truth = boxed([(0, 10, 10, 60, 60), (0, 90, 90, 200, 200)], names=("a",))
    figures = mean_average_precision(truth, twice)
    # Precision is 1 up to a recall of one half, then 2 of 3: 51 and 50 of the 101 recalls.
    assert figures.map == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_ignored_boxes_count_neither_way():
    truth = boxed(
        [(0, 10, 10, 60, 60), (0, 100, 100, 300, 300)],
        names=("a",),
        ignored=(np.array([False, True]),),
    )
    right, inside = (0, 0.9, 10, 10, 60, 60), (0, 0.95, 120, 120, 160, 160)
    for detections in (found(right), found(inside, right)):
        assert mean_average_precision(truth, [detections]).map == pytest.approx(1)


def test_without_a_box_there_is_no_figure():
    photos = boxed([], [])
    for detections in ([found()] * 2, [found((0, 0.9, 1, 1, 9, 9))] * 2):
        figures = mean_average_precision(photos, detections)
        assert figures.map is figures.map50 is figures.max_recall is None
        assert figures.map_by_area == {"small": None, "medium": None, "large": None}
        assert figures.of_class(0) is None


def test_a_class_without_boxes_has_no_figure():
    truth = boxed([(0, 10, 10, 60, 60)])
    figures = mean_average_precision(truth, [found((0, 0.9, 10, 10, 60, 60), (1, 0.9, 1, 1, 9, 9))])
    assert figures.map == figures.of_class(0) == pytest.approx(1)
    assert figures.of_class(1) is figures.of_class_at_50(1) is None


def test_nothing_is_printed(capsys):
    mean_average_precision(TRUTH, as_found(TRUTH))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("detections", "message"),
    [([found()], "each of the 3 photos"), ([found((7, 0.5, 0, 0, 1, 1))] * 3, "of class 7")],
)
def test_what_does_not_fit_is_refused(detections, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(TRUTH, detections)


# Right and wrong.


def test_overlaps_by_hand():
    a, b = np.array([[0, 0, 10, 10], [0, 0, 4, 4]]), np.array([[0, 0, 10, 5], [20, 0, 30, 9]])
    np.testing.assert_allclose(overlaps(a, b), [[0.5, 0], [16 / 50, 0]])
    np.testing.assert_allclose(overlaps(a, b, of_first=True), [[0.5, 0], [1, 0]])
    assert overlaps(np.zeros((0, 4)), b).shape == (0, 2)


def test_the_surest_detection_chooses_first():
    truth = np.array([[0, 0, 10, 10], [8, 0, 18, 10]])
    good, poor, other = (0, 0.5, 0, 0, 10, 10), (0, 0.9, 1, 0, 11, 10), (1, 0.99, 0, 0, 10, 10)
    matched = match(truth, np.array([0, 0]), np.zeros(2, bool), found(good, poor, other))
    assert matched.truth.tolist() == [-1, 0, -1]
    assert matched.counted.all()


EVALUATION = DetectionEvaluation(
    boxed(
        [(0, 10, 10, 60, 60), (0, 100, 100, 180, 180), (1, 300, 50, 400, 200)],
        [(1, 20, 20, 60, 40), (0, 200, 200, 300, 300)],
        [],
        ignored=(np.zeros(3, bool), np.array([False, True]), np.zeros(0, bool)),
    ),
    (
        # Right; taken for b; a box of b that is missed.
        found((0, 0.9, 10, 10, 60, 60), (1, 0.8, 100, 100, 180, 180), (1, 0.05, 300, 50, 400, 200)),
        # Right; on an ignored box.
        found((1, 0.7, 20, 20, 60, 40), (0, 0.9, 210, 210, 250, 250)),
        # Made up.
        found((1, 0.6, 20, 20, 60, 40), (0, 0.02, 0, 0, 9, 9)),
    ),
    {},
)


def test_confusion_by_hand():
    # From 0.03 to 0.05, a has 1 of 2 boxes and no false one, b has 2 of 2 and 2 false ones: F1 is
    # 2/3 for both. Below that a has a false one, above it b misses one.
    assert EVALUATION.score_threshold == pytest.approx(0.04)
    assert EVALUATION.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert EVALUATION.mistakes == [(1, 1), (0, 0), (0, 1)]
    a, b = EVALUATION.classes
    assert (a.boxes, a.found, a.false, a.precision, a.recall) == (2, 1, 0, 1, 0.5)
    assert (b.boxes, b.found, b.false, b.precision, b.recall) == (2, 2, 2, 0.5, 1)
    assert (a.f1, b.f1) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_chosen_one(seed):
    truth, detections = noisy(seed)
    evaluation = DetectionEvaluation(truth, tuple(detections), {})

    def mean_f1(threshold):
        f1 = []
        for label in range(2):
            right = claimed = 0
            for boxes, labels, d in zip(truth.boxes, truth.labels, detections, strict=True):
                d = d.take((d.scores >= threshold) & (d.classes == label))
                claimed += len(d)
                free = [box for box, other in zip(boxes, labels, strict=True) if other == label]
                for i in np.argsort(-d.scores):
                    ious = [overlaps(d.boxes[[i]], box[None])[0, 0] for box in free]
                    if ious and max(ious) >= 0.5:
                        free.pop(int(np.argmax(ious)))
                        right += 1
            f1.append(
                2 * right / (claimed + sum((labels == label).sum() for labels in truth.labels))
            )
        return np.mean(f1)

    best = mean_f1(evaluation.score_threshold)
    assert best == pytest.approx(np.mean([c.f1 for c in evaluation.classes]))
    assert best == pytest.approx(max(mean_f1(i / 100) for i in range(1, 100)))


def test_counts_add_up():
    truth, detections = noisy(7)
    evaluation = DetectionEvaluation(truth, tuple(detections), {})
    counts = evaluation.confusion
    np.testing.assert_array_equal(counts[:-1].sum(axis=1), truth.counts)
    np.testing.assert_array_equal(
        counts[:, :-1].sum(axis=0), sum(d.counts(2) for d in evaluation.kept)
    )
    assert sum(missed for missed, _ in evaluation.mistakes) == sum(
        c.boxes - c.found for c in evaluation.classes
    )


# Evaluating a model.


@pytest.fixture
def photos(tmp_path):
    """Three photos whose rectangles the fake finds, all but a second red one; one is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = []
    for i in range(3):
        marks = [("red", 5, 5, 25, 25), ("blue", 40, 30, 70, 60)][: 2 - i % 2]
        save(folder / f"{i}.png", (80, 100), marks)
        rows.append([(("red", "blue").index(name), *box) for name, *box in marks])
    (folder / "3.png").write_bytes(b"")
    rows[0].append((0, 50, 5, 70, 25))
    photos = boxed(*rows, [(0, 1, 1, 9, 9)], names=("red", "blue"))
    return replace(photos, paths=tuple(folder / f"{i}.png" for i in range(4)))


def test_evaluate_a_model(photos):
    model, done = FakeDetector(), []
    found = evaluate_detector(model, photos, batch_size=2, advance=done.append)
    assert sum(done) == 4
    assert list(found.errors) == [photos.paths[3]]
    assert len(found.photos) == 3
    figures = json.loads(json.dumps(found.to_json(), allow_nan=False))
    # Red: 3 of 4 boxes found without a mistake, 76 of the 101 recalls; blue: all.
    assert figures["map"] == pytest.approx((76 / 101 + 1) / 2)
    assert (figures["photos"], figures["unreadable"], figures["boxes"]) == (3, 1, 6)
    assert [c["found"] for c in figures["classes"]] == [3, 2]
    assert figures["confusion_classes"] == ["red", "blue", "background"]
    assert figures["map_large"] is None
    settings = model.calls[0][2]
    assert (settings["score_threshold"], settings["max_detections"]) == (0.001, 300)


def test_what_cannot_be_evaluated(photos):
    with pytest.raises(ValueError, match="None of the photos"):
        evaluate_detector(FakeDetector(), photos.take([3]))
    other = replace(photos, class_names=("x", "y"))
    with pytest.raises(ValueError, match="classes x, y; the model knows red, blue"):
        evaluate_detector(FakeDetector(), other)


# Pages.


def test_the_page_shows_figures_and_pictures(photos, tmp_path):
    found = evaluate_detector(FakeDetector(), photos)
    write_detection_evaluation(RunFolder(tmp_path / "out"), found, "<Title>")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("report.html", "evaluation.json", "confusion.png", "mistakes.png"),
        "precision_recall.png",
    }
    page = (tmp_path / "out/report.html").read_text()
    assert "&lt;Title&gt;" in page
    assert f"mAP <b>{found.average_precision.map:.3f}" in page
    assert "3.png" in page
    for name in names - {"report.html", "evaluation.json"}:
        assert name in page
        assert Image.open(tmp_path / "out" / name).width > 300


def test_the_page_of_photos_without_boxes(tmp_path):
    save(tmp_path / "0.png", (20, 20), [])
    photos = replace(boxed([], names=("red", "blue")), paths=(tmp_path / "0.png",))
    found = evaluate_detector(FakeDetector(), photos)
    assert found.to_json()["map"] is None
    assert found.score_threshold == 0.5
    write_detection_evaluation(RunFolder(tmp_path / "out"), found, "Nothing")
    assert "there is nothing to measure" in (tmp_path / "out/report.html").read_text()


HISTORY = [
    {
        **{"epoch": i, "stage": 1 + (i > 2), "train": "all", "image_size": 64, "best": i == 3},
        **{"learning_rate": 1e-3, "loss": 3 / i, "box_loss": 2 / i, "objectness_loss": 1 / i},
        **{"class_loss": 0.1, "val_map": None if i == 1 else i / 10, "val_map50": i / 8},
    }
    for i in range(1, 5)
]


def test_the_page_of_a_training(photos, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin({"recipe": "yolox"})
    write_detection_run_report(run, evaluate_detector(FakeDetector(), photos), HISTORY)
    page = (tmp_path / "run/report.html").read_text()
    for part in ("curves.png", "precision_recall.png", "yolox", "Training in run"):
        assert part in page


def test_curves_are_those_whose_columns_are_there(tmp_path):
    wide = [{**row, "accuracy": 0.5, "val_accuracy": 0.4} for row in HISTORY]
    for name, history in (("four", HISTORY), ("five", wide)):
        with (tmp_path / name).open("wb") as file:
            draw_curves(history, file)
    four, five = (Image.open(tmp_path / name).width for name in ("four", "five"))
    assert five == pytest.approx(four * 5 / 4, rel=0.01)


def test_the_worst_photos_come_first(photos):
    found = evaluate_detector(FakeDetector(), photos)
    sheet = draw_worst(found)
    assert found.mistakes == [(1, 0), (0, 0), (0, 0)]
    assert sheet.width < 450  # a single photo
    right = DetectionEvaluation(TRUTH, tuple(as_found(TRUTH)), {})
    assert draw_worst(right) is None


# The command.


@pytest.fixture
def command(monkeypatch):
    """Runs the command with a fake detector on a part of a data set."""
    monkeypatch.setattr(cli_models, "is_detector", lambda source, which: True)
    monkeypatch.setattr(cli_models, "load_detector", lambda source, which: FakeDetector())

    def invoke(part, *arguments):
        monkeypatch.setattr(
            "cspdarknet.data.detection.find.load_detection_split", lambda data, names, problem: part
        )
        return CliRunner().invoke(
            app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "160"}, catch_exceptions=False
        )

    return invoke


def test_the_command_tells_which_photos_it_took(command, photos, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin({"data": str(tmp_path / "photos")})
    everything = EvaluationSplit("all", photos)
    mended = EvaluationSplit("validation", photos, (Problem(Path("a.xml"), "has no area"),) * 2)
    output = command(mended, run.path, tmp_path / "photos").output
    assert f"4 photos: the validation part of {tmp_path / 'photos'}" in output
    assert "2 problems of the annotations were mended" in output
    assert "trained on" not in output
    output = command(everything, run.path, tmp_path / "photos").output
    assert f"4 photos: all photos of {tmp_path / 'photos'}" in output
    assert f"Warning: photos that {run.path} was trained on are among them" in output
    assert "mended" not in output
    for model, data in ((run.path, "other"), ("preset", tmp_path / "photos")):
        assert "Warning" not in command(everything, model, data).output


def test_the_command_evaluates_detectors(command, photos, tmp_path):
    result = command(EvaluationSplit("test", photos), "model", "data", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert f"mAP {figures['map']:.3f}" in result.output
    assert f"score threshold {figures['score_threshold']:.2f}" in result.output
    assert "3.png" in result.output
    assert "blue" in result.output
