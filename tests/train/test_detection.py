"""Trainings of detectors, from start to end, and what they leave in the run folder."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cspdarknet.checkpoints import LevelsWarning
from cspdarknet.cli import app
from cspdarknet.data import (
    DetectionAugmentation,
    DetectionSource,
    load_detection_dataset,
    training_batches,
)
from cspdarknet.evaluate import ClassThreshold, DetectionEvaluation, evaluate_detector
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector, load_model
from cspdarknet.train import Phase, train_detector
from cspdarknet.train.loop import Training
from image_datasets import BOXED_COLORS, write_yolo_dataset

pytestmark = pytest.mark.one_backend

FILES = {
    *("run.json", "images.csv", "predictions.csv"),
    *("skipped.csv", "metrics.csv", "metrics.jsonl", "state.npz", "best", "last"),
    *("curves.png", "confusion.png", "precision_recall.png", "evaluation.json", "report.html"),
}


def test_what_a_run_leaves(detection_run):
    run, history = detection_run.path, detection_run.history
    assert {path.name for path in run.iterdir()} - {".lock", "mistakes.png"} == FILES
    assert [row["phase"] for row in history] == [1, 1, 2]
    assert [row["val_map"] is None for row in history] == [True, False, False]
    assert [row["l1_loss"] > 0 for row in history] == [False, False, True]
    assert all(np.isfinite(row["loss"]) for row in history)
    assert "mAP" in (run / "report.html").read_text()
    best = YOLOXDetector.from_preset(run / "best")
    assert best.class_names == tuple(BOXED_COLORS)
    assert best.image_size == 64
    assert best.backbone.frozen_stages is None


def test_the_report_is_about_the_best_model(detection_run):
    evaluation = json.loads((detection_run.path / "evaluation.json").read_text())
    best = [row for row in detection_run.history if row["best"]][-1]
    assert evaluation["map"] == pytest.approx(best["val_map"], abs=1e-6)
    assert evaluation["map50"] == pytest.approx(best["val_map50"], abs=1e-6)


def test_a_run_that_was_interrupted_before_its_report_gets_its_thresholds(
    detection_run, tmp_path, monkeypatch
):
    run = shutil.copytree(detection_run.path, tmp_path / "run")
    proposals = [ClassThreshold(name, x, True, 1, 1, 1) for name, x in (("a", 0.5), ("b", 0.75))]
    monkeypatch.setattr(DetectionEvaluation, "thresholds", lambda *_: proposals)
    detection_run.train(out=run)
    assert YOLOXDetector.from_preset(run).score_threshold == (0.5, 0.75)
    assert YOLOXDetector.from_preset(run / "last").score_threshold == 0.25


def test_commands_take_a_run_folder(detection_run, tmp_path):
    run, data = str(detection_run.path), str(detection_run.data)
    result = CliRunner().invoke(app, ["evaluate", run, data], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "mAP" in result.output
    arguments = ["detect", run, data, "--json", str(tmp_path / "detections.json")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "detections.json").read_text())
    assert [category["name"] for category in content["categories"]] == list(BOXED_COLORS)
    assert len(content["images"]) == 5


def stop(*args, **kwargs):
    raise KeyboardInterrupt


def test_invalid_annotations_are_an_error_or_are_fixed_and_listed(
    detection_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(Training, "fit", stop)
    data = write_yolo_dataset(tmp_path / "images", 5)
    (data / "labels/0.txt").write_text("0 0.5 0.5 0 0.5\n1 0.5 0.5 0.5 0.5")
    arguments = data, tmp_path / "run", detection_run.preset, detection_run.recipe
    with pytest.raises(ValueError, match="fix"):
        train_detector(*arguments, console=Console(quiet=True))
    with pytest.raises(KeyboardInterrupt):
        train_detector(*arguments, on_problem="fix", console=Console(quiet=True))
    problems = (tmp_path / "run/problems.csv").read_text().splitlines()
    assert len(problems) == 2
    assert "0.txt" in problems[1] or "0.png" in problems[1]


def test_four_images_are_learned_by_heart(tmp_path):
    """A detector that cannot do this has a mistake in its targets, its loss or its boxes."""
    steps = 90
    dataset = load_detection_dataset(write_yolo_dataset(tmp_path / "images", 12)).train
    # Overlapping squares would hide each other.
    apart = [i for i, boxes in enumerate(dataset.boxes) if distance(*boxes) >= 20]
    dataset = dataset.take(apart[:4])
    plain = DetectionAugmentation(mosaic=0, mixup=0, hsv=(0, 0, 0), flip=0)
    source = DetectionSource(dataset, plain, batch_size=4, max_boxes=4)
    ((images, targets, weights),) = training_batches(source, 64, 0, 1)
    backbone = CSPDarkNetBackbone(
        [16, 32, 64, 128], [1, 1, 1, 1], include_rescaling=False, batch_norm_momentum=0.8
    )
    detector = YOLOXDetector(backbone, 2, class_names=dataset.class_names, image_size=64)
    detector.l1_loss = True
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - 10, warmup_target=5e-3, warmup_steps=10
    )
    detector.compile(keras.optimizers.Adam(schedule, global_clipnorm=10.0))
    for _ in range(steps):
        detector.train_on_batch(images, targets, weights)
    metrics = evaluate_detector(detector, dataset).average_precision
    assert metrics.map50 == pytest.approx(1)
    assert metrics.map >= 0.9


def distance(a, b):
    """Return the distance of the centers of two boxes, along the axis where it is larger."""
    return np.abs((a[:2] + a[2:]) - (b[:2] + b[2:])).max() / 2


def test_training_with_other_levels_lists_what_it_starts_from(detection_run, tmp_path):
    levels = ("P3", "P4", "P5")
    recipe = replace(detection_run.recipe, phases=(Phase(1, 64),), levels=levels)
    with pytest.warns(LevelsWarning, match="neck_p6_lateral"):
        detection_run.train(out=tmp_path / "run", model=detection_run.path, recipe=recipe)
    model = load_model(tmp_path / "run")
    assert model.levels == levels
    listed = json.loads((tmp_path / "run/transfer.json").read_text())
    assert sorted(listed["loaded"] + listed["new"]) == sorted(v.path for v in model.weights)
    assert not (detection_run.path / "transfer.json").exists()
