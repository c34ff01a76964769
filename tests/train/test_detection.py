"""Trainings of detectors: that they learn, go on after a stop, and leave a report."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.data import DetectionAugmentation, DetectionSource, load_detection_dataset
from cspdarknet.data.pipeline import training_batches
from cspdarknet.evaluate import evaluate_detector
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.train import (
    DETECTION_RECIPES,
    DetectionRecipe,
    Phase,
    load_detection_recipe,
    tasks,
    train_detector,
)
from cspdarknet.train.loop import Training
from photo_sets import BOXED_COLORS, write_boxed_photos
from support import SHARED

QUIET = Console(quiet=True)
# As little as shows every part of a training at work.
QUICK = DetectionRecipe(
    stages=(Phase(2, 64), Phase(1, 64, no_mixing=True)),
    batch_size=4,
    layer_decay=0.8,
    batch_norm_momentum=0.5,
    ema_decay=0.9,
    evaluate_every=2,
    max_boxes=12,
)
FILES = {
    "run.json",
    "skipped.csv",
    "metrics.csv",
    "metrics.jsonl",
    "state.npz",
    "best",
    "last",
    "curves.png",
    "confusion.png",
    "precision_recall.png",
    "evaluation.json",
    "report.html",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Photos, a preset, a recipe file, and a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("work")
    write_boxed_photos(folder / "photos")
    CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True).save_to_preset(
        folder / "preset"
    )
    (folder / "quick.json").write_text(json.dumps(QUICK.to_json()))
    history = train_detector(*arguments(folder, "whole"), console=QUIET)
    (folder / "history.json").write_text(json.dumps(history))
    return folder


def arguments(work, out):
    return work / "photos", work / out, work / "preset", QUICK


def command(work, out):
    return [
        "train",
        str(work / "photos"),
        *("--task", "detect"),
        *("--out", str(work / out)),
        *("--preset", str(work / "preset")),
        *("--recipe", str(work / "quick.json")),
    ]


@pytest.mark.one_backend
def test_what_a_run_leaves(work):
    run = work / "whole"
    left = {path.name for path in run.iterdir()} - {".lock", "mistakes.png"}
    assert left == FILES
    history = json.loads((work / "history.json").read_text())
    assert [row["stage"] for row in history] == [1, 1, 2]
    assert [row["val_map"] is None for row in history] == [True, False, False]
    assert [row["l1_loss"] > 0 for row in history] == [False, False, True]
    assert all(np.isfinite(row["loss"]) for row in history)
    settings = json.loads((run / "run.json").read_text())
    assert settings["task"] == "detect"
    assert settings["class_names"] == list(BOXED_COLORS)
    assert "mAP" in (run / "report.html").read_text()
    best = YOLOXDetector.from_preset(run / "best")
    assert best.class_names == tuple(BOXED_COLORS)
    assert best.image_size == 64
    assert best.backbone.frozen_stages is None


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.one_backend
def test_an_interrupted_run_ends_as_a_whole_one(work, monkeypatch):
    original = tasks.evaluate_detector
    monkeypatch.setattr(tasks, "evaluate_detector", interrupted)
    result = CliRunner().invoke(app, command(work, "stopped"))
    assert result.exit_code == 130
    assert "go on" in result.output
    monkeypatch.setattr(tasks, "evaluate_detector", original)
    result = CliRunner().invoke(app, command(work, "stopped"))
    assert result.exit_code == 0, result.output
    assert "validation mAP" in result.output
    runs = [YOLOXDetector.from_preset(work / out / "last") for out in ("stopped", "whole")]
    for a, b in zip(*(run.get_weights() for run in runs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.one_backend
def test_a_run_is_evaluated_and_used(work):
    photos = str(work / "photos")
    result = CliRunner().invoke(app, ["evaluate", str(work / "whole"), photos])
    assert result.exit_code == 0, result.output
    assert "mAP" in result.output
    result = CliRunner().invoke(
        app, ["detect", str(work / "whole"), photos, "--json", str(work / "found.json")]
    )
    assert result.exit_code == 0, result.output
    found = json.loads((work / "found.json").read_text())
    assert [c["name"] for c in found["categories"]] == list(BOXED_COLORS)
    assert len(found["images"]) == 10


@pytest.mark.one_backend
def test_options_of_the_other_task_are_refused(work):
    for options in (
        ["--class-weights", "balanced"],
        ["--task", "classify", "--flip-vertical", "1"],
    ):
        result = CliRunner().invoke(app, [*command(work, "other"), *options])
        assert isinstance(result.exception, ValueError)
        assert "is for --task" in str(result.exception)
    assert not (work / "other").exists()


@pytest.mark.one_backend
def test_problems_stop_a_training_or_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "fit", interrupted)
    photos = write_boxed_photos(tmp_path / "photos")
    (photos / "labels/0.txt").write_text("0 0.5 0.5 0 0.5\n1 0.5 0.5 0.5 0.5")
    CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True).save_to_preset(
        tmp_path / "preset"
    )
    run, preset = tmp_path / "run", tmp_path / "preset"
    with pytest.raises(ValueError, match="fix"):
        train_detector(photos, run, preset, QUICK, console=QUIET)
    with pytest.raises(KeyboardInterrupt):
        train_detector(photos, run, preset, QUICK, on_problem="fix", console=QUIET)
    assert (
        "0.txt" in (run / "problems.csv").read_text()
        or "0.png" in (run / "problems.csv").read_text()
    )


@pytest.mark.one_backend
@pytest.mark.parametrize("name", DETECTION_RECIPES)
def test_recipes_survive_json(name, tmp_path):
    recipe = DETECTION_RECIPES[name]
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()))
    assert load_detection_recipe(tmp_path / "recipe.json") == recipe


@pytest.mark.one_backend
def test_the_recipe_of_the_original():
    recipe = DETECTION_RECIPES["coco"]
    assert (recipe.epochs, recipe.image_size, recipe.batch_size) == (300, 640, 64)
    assert (recipe.optimizer, recipe.learning_rate) == ("sgd", 0.01)
    assert recipe.stages[-1].epochs == 15
    with pytest.raises(ValueError, match="multiples of 32"):
        replace(recipe, stages=(Phase(1, 100),))


@pytest.mark.one_backend
@pytest.mark.skipif(
    not (SHARED / "data/bccd").is_dir(), reason="the photos of blood cells are not at hand"
)
def test_ten_photos_are_learnt_by_heart():
    """A detector that cannot do this has a mistake in its targets, its loss or its boxes."""
    size, steps = 224, 200
    train = load_detection_dataset(SHARED / "data/bccd", on_problem="fix").train
    # One place answers for one object: two centers in the same place cannot both be learnt.
    clear = [i for i, boxes in enumerate(train.boxes) if nearest_centres(boxes) >= 34]
    photos = train.take(clear[:10])
    plain = DetectionAugmentation(mosaic=0, mixup=0, hsv=(0, 0, 0), flip=0)
    source = DetectionSource(photos, plain, batch_size=10, max_boxes=40)
    ((images, targets, weights),) = training_batches(source, size, 0, 1)
    backbone = CSPDarkNetBackbone(
        [16, 32, 64, 128], [1, 1, 1, 1], include_rescaling=False, batch_norm_momentum=0.9
    )
    detector = YOLOXDetector(backbone, 3, class_names=photos.class_names, image_size=size)
    detector.l1_loss = True
    curve = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - 10, warmup_target=5e-3, warmup_steps=10
    )
    detector.compile(keras.optimizers.Adam(curve, global_clipnorm=10.0))
    for _ in range(steps):
        detector.train_on_batch(images, targets, weights)
    assert evaluate_detector(detector, photos).average_precision.map50 >= 0.95


def nearest_centres(boxes):
    """Return the least distance between the centers of two boxes, along either axis."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    apart = np.abs(centers[:, None] - centers[None]).max(axis=-1)
    return (apart + 1e9 * np.eye(len(boxes))).min()
