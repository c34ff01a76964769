"""Trainings of regressors, from start to end."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from cspdarknet.export import export
from cspdarknet.inference import Predictor
from cspdarknet.models import ImageRegressor
from cspdarknet.reports import evaluation
from cspdarknet.train import Phase, RegressionRecipe, fit_batch_size, train_regressor
from cspdarknet.train.recipe import GEOMETRIC
from image_datasets import write_preset
from support import run_command
from training_runs import assert_same_run, quiet_run

RECIPE = RegressionRecipe(
    phases=(Phase(12, 24),),
    batch_size=10,
    learning_rate=0.02,
    weight_decay=0.0,
    warmup_fraction=0.1,
    batch_norm_momentum=0.5,
    ema_decay=0.8,
    augmentation=dataclasses.replace(GEOMETRIC, crop_area=(1.0, 1.0)),
)


def write_brightness(folder, count=30):
    """Images of noise around a brightness, with a table of it and of a number that falls."""
    rng, rows = np.random.default_rng(0), ["path,brightness,darkness,name"]
    folder.mkdir(parents=True)
    for i in range(count):
        value = rng.uniform(30, 220)
        pixels = value + rng.normal(0, 8, (24, 24, 3))
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{value:.2f},{5000 - 2 * value:.2f},n{i}")
    (folder / "made.csv").write_text("\n".join(rows))
    return folder / "made.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression")
    data, preset = write_brightness(folder / "images"), write_preset(folder / "preset")
    return quiet_run(train_regressor, data, preset, RECIPE, folder / "run")


@pytest.mark.one_backend
def test_made_images_are_learned_and_their_exported_numbers_agree(run, tmp_path):
    history = run.history
    assert max(row["val_r2"] for row in history) > 0.9
    metrics = json.loads((run.path / "evaluation.json").read_text())
    best = [row for row in history if row["best"]][-1]
    assert metrics["r2"] == best["val_r2"]
    assert [t["name"] for t in metrics["targets"]] == ["brightness", "darkness"]
    assert metrics["targets"][1]["mae"] == best["val_mae_darkness"]
    assert metrics["targets"][0]["spearman"] > 0.9
    model = ImageRegressor.from_preset(run.path / "best")
    assert (model.targets, model.image_size) == (("brightness", "darkness"), 24)
    assert model.mean[1] == pytest.approx(5000 - 2 * model.mean[0], abs=0.1)
    assert export(model, tmp_path / "a.onnx").comparison.max_relative_error < 1e-4
    row = next(csv.DictReader((run.path / "predictions.csv").open()))
    numbers = Predictor(tmp_path / "a.onnx", runtime="onnxruntime")(row["file"])
    expected = [float(row[f"predicted_{name}"]) for name in model.targets]
    assert (np.abs(numbers - expected) / model.std).max() < 1e-4


@pytest.mark.slow
@pytest.mark.one_backend
def test_an_interrupted_training_continues_with_the_same_result(run, tmp_path, monkeypatch):
    from cspdarknet.train.loop import Training

    short = dataclasses.replace(RECIPE, phases=(Phase(2, 24, "head"), Phase(1, 24)))
    whole = quiet_run(train_regressor, run.data, run.preset, short, tmp_path / "whole")
    run_epoch = Training._run_epoch

    def stopped(self, phase):
        if len(self.history) == 2:
            raise KeyboardInterrupt
        run_epoch(self, phase)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_run_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            whole.train(out=tmp_path / "run")
    whole.train(out=tmp_path / "run")
    assert_same_run(whole.path, tmp_path / "run")


@pytest.mark.one_backend
def test_commands(run, tmp_path, monkeypatch):
    """A training of one column by the command, predictions of its model, and their metrics."""
    monkeypatch.setattr(evaluation, "write_picture", lambda *_: "")
    recipe = dataclasses.replace(RECIPE, phases=(Phase(1, 24),))
    (tmp_path / "r.json").write_text(json.dumps(recipe.to_json()))
    out, files = tmp_path / "run", run.data.parent
    options = ("--model", run.path, "--recipe", tmp_path / "r.json", "--targets", "darkness")
    result = run_command("train", run.data, "--out", out, *options, "--loss", "mse")
    assert result.exit_code == 0, result.output
    assert "1 target: darkness (" in result.output
    assert "validation R2" in result.output
    assert json.loads((out / "run.json").read_text())["recipe"]["loss"] == "mse"
    predict = ("predict", out, files / "0.png", files / "1.png", "--runtime", "keras")
    result = run_command(*predict, "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    content = json.loads((tmp_path / "a.json").read_text())
    assert [row["image"] for row in content] == [str(files / "0.png"), str(files / "1.png")]
    for row, item in zip(rows, content, strict=True):
        assert float(row["predicted_darkness"]) == item["targets"]["darkness"]
    (tmp_path / "b.csv").write_text("image,darkness\n0.png,3\n")
    refused = run_command(*predict, "--csv", tmp_path / "b.csv")
    assert "not the result of an earlier run" in str(refused.exception)
    result = run_command("evaluate", out, run.data, "--runtime", "keras")
    assert result.exit_code == 0, result.output
    assert "rank correlation" in result.output
    assert "darkness" in result.output
    result = run_command("evaluate", out, run.data, "--calibrate")
    assert "`--calibrate` is for classifiers" in str(result.exception)
    result = run_command("evaluate", out, run.data, "--class-names", "a")
    assert "`--class-names` is for classes" in str(result.exception)
    result = run_command("train", run.data, "--out", tmp_path / "b", "--teacher", out)
    assert "`--teacher` is for classes and boxes" in str(result.exception)
    result = run_command("train", run.data, "--out", tmp_path / "b", "--class-weights", "balanced")
    assert "is for --task classification" in str(result.exception)


@pytest.mark.slow
@pytest.mark.one_backend
def test_an_automatic_batch_size(run):
    recipe = dataclasses.replace(RECIPE, batch_size=1)  # no larger batches to try
    fitted, found = fit_batch_size(recipe, run.preset, num_classes=2)
    assert fitted == recipe
    assert 10**6 < found.needed < found.free


@pytest.mark.one_backend
def test_settings_of_a_continued_run_are_the_same(run):
    with pytest.raises(ValueError, match="other settings"):
        run.train(out=run.path, targets=["brightness"])
