"""Trainings of classifiers, from start to end, and what they leave in the run folder."""

import csv
import dataclasses
import inspect
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.models import ImageClassifier
from cspdarknet.presets.records import PRESETS
from cspdarknet.train import Phase, customize, train_classifier

FILES = {
    *("run.json", "images.csv", "predictions.csv"),
    *("skipped.csv", "metrics.csv", "metrics.jsonl", "state.npz", "best", "last"),
    *("curves.png", "confusion.png", "evaluation.json", "report.html"),
}


@pytest.mark.one_backend
def test_the_default_preset_is_bundled_and_trained():
    """The recipe `finetune` trains the head alone at first: random features would be useless."""
    parameters = inspect.signature(train_classifier).parameters
    assert parameters["recipe"].default == "finetune"
    preset = PRESETS[parameters["model"].default]
    assert preset.has_weights
    assert preset.folder is not None


def test_what_a_run_leaves(classification_run):
    run = classification_run.path
    assert {path.name for path in run.iterdir()} - {"mistakes.png", ".lock"} == FILES
    history = classification_run.history
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert lines == history
    assert [row["phase"] for row in history] == [1, 2, 2]
    assert [row["train"] for row in history] == ["head", "all", "all"]
    assert all(np.isfinite(row["loss"]) and row["images_per_second"] > 0 for row in history)
    page = (run / "report.html").read_text()
    assert "curves.png" in page
    assert "green" in page
    best = ImageClassifier.from_preset(run / "best")
    assert best.class_names == ("blue", "green", "red")
    assert best.activation == "softmax"
    assert best.image_size == 32
    assert best.backbone.frozen_stages is None


@pytest.mark.one_backend
def test_the_report_is_about_the_best_model(classification_run):
    evaluation = json.loads((classification_run.path / "evaluation.json").read_text())
    best = [row for row in classification_run.history if row["best"]][-1]
    assert evaluation["accuracy"] == best["val_accuracy"]
    assert evaluation["loss"] == pytest.approx(best["val_loss"], rel=1e-6)


def test_mixed_precision_class_weights_and_accumulation(classification_run, tmp_path):
    recipe = customize(
        classification_run.recipe,
        precision="mixed_bfloat16",
        class_weights="balanced",
        accumulate=2,
        batch_size=3,
    )
    recipe = dataclasses.replace(recipe, phases=(Phase(1, 32),))
    history = classification_run.train(out=tmp_path / "run", recipe=recipe)
    assert all(np.isfinite(row["loss"]) for row in history)
    best = ImageClassifier.from_preset(tmp_path / "run/best")
    assert best.predict(np.ones((1, 32, 32, 3)), verbose=0).dtype == np.float32


@pytest.mark.one_backend
def test_the_command_trains_as_the_function_does(classification_run, tmp_path):
    run = classification_run
    (tmp_path / "recipe.json").write_text(json.dumps(run.recipe.to_json()))
    arguments = [run.data, "--out", tmp_path / "run", "--model", run.preset]
    arguments += ["--recipe", tmp_path / "recipe.json"]
    result = CliRunner().invoke(app, ["train", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    best = [row for row in run.history if row["best"]][-1]
    assert f"epoch {best['epoch']}, validation accuracy {best['val_accuracy']:.4f}" in result.output
    for name, array in run.weights().items():
        np.testing.assert_array_equal(run.weights(out=tmp_path / "run")[name], array)
