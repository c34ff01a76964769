"""Trainings from start to end, interrupted ones too, and what they leave in the run folder."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.models import ImageClassifier
from cspdarknet.train import CLASSIFICATION_RECIPES, Phase, customize, train_classifier
from cspdarknet.train.run_folder import RunFolder
from photo_sets import QUICK, write_photos, write_preset

QUIET = Console(quiet=True)
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
    "evaluation.json",
    "report.html",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Photos, a preset, a recipe file, and a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 8)
    write_preset(folder / "preset")
    (folder / "quick.json").write_text(json.dumps(QUICK.to_json()))
    (folder / "history.json").write_text(
        json.dumps(train_classifier(*arguments(folder, "whole"), console=QUIET))
    )
    return folder


def arguments(work, out):
    return work / "photos", work / out, work / "preset", QUICK


def weights_of(run, which="last"):
    return ImageClassifier.from_preset(run / which).get_weights()


def assert_equal_weights(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_what_a_run_leaves(work):
    run = work / "whole"
    assert {path.name for path in run.iterdir()} - {"mistakes.png", ".lock"} == FILES
    history = json.loads((work / "history.json").read_text())
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert lines == history
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
def test_the_same_seed_gives_the_same_weights_and_another_one_others(work):
    train_classifier(*arguments(work, "again"), console=QUIET)
    assert_equal_weights(weights_of(work / "whole"), weights_of(work / "again"))
    data, out, preset, recipe = arguments(work, "other")
    train_classifier(data, out, preset, customize(recipe, seed=1), console=QUIET)
    a, b = weights_of(work / "whole"), weights_of(work / "other")
    assert any(not np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.one_backend
def test_a_finished_run_is_left_as_it_is(work):
    before = (work / "whole/state.npz").stat().st_mtime
    history = train_classifier(*arguments(work, "whole"), console=QUIET)
    assert len(history) == 3
    assert (work / "whole/state.npz").stat().st_mtime == before


def command(work, out):
    return [
        *(sys.executable, "-m", "cspdarknet", "train", str(work / "photos")),
        *("--out", str(work / out), "--preset", str(work / "preset")),
        *("--recipe", str(work / "quick.json")),
    ]


def start(work, out):
    env = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    return subprocess.Popen(command(work, out), env=env, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_training_goes_on_to_the_same_weights(work):
    run = work / "killed"
    metrics = run / "metrics.csv"
    for epochs in (1, 2):  # killed in the second epoch, then in the third
        process = start(work, "killed")
        while process.poll() is None and (
            not metrics.exists() or len(metrics.read_text().splitlines()) < epochs + 1
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (run / "report.html").exists()
    process = start(work, "killed")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    # A fresh process and this one agree, and so do the numbers on the way.
    for which in ("last", "best"):
        assert_equal_weights(weights_of(run, which), weights_of(work / "whole", which))
    with (run / "metrics.csv").open() as a, (work / "whole/metrics.csv").open() as b:
        for x, y in zip(csv.DictReader(a), csv.DictReader(b), strict=True):
            for name in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
                assert x[name] == y[name]


@pytest.mark.one_backend
def test_ctrl_c_leaves_a_run_that_goes_on(work, monkeypatch):
    from cspdarknet.train import tasks

    original = tasks.evaluate

    def interrupted(*args, **kwargs):
        interrupted.calls += 1
        if interrupted.calls == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    interrupted.calls = 0
    monkeypatch.setattr(tasks, "evaluate", interrupted)
    result = CliRunner().invoke(app, command(work, "stopped")[3:])
    assert result.exit_code == 130
    assert "go on" in result.output
    result = CliRunner().invoke(app, command(work, "stopped")[3:])
    assert result.exit_code == 0, result.output
    assert_equal_weights(weights_of(work / "stopped"), weights_of(work / "whole"))


# What is refused, and when.


@pytest.mark.one_backend
def test_another_command_does_not_go_on_with_a_run(work):
    data, out, preset, recipe = arguments(work, "whole")
    with pytest.raises(ValueError, match=r"recipe\.batch_size: 6, now 7"):
        train_classifier(data, out, preset, customize(recipe, batch_size=7), console=QUIET)


@pytest.mark.one_backend
def test_a_folder_with_other_files_is_refused(work):
    data, _, preset, recipe = arguments(work, "x")
    with pytest.raises(ValueError, match="holds other files"):
        train_classifier(data, work / "preset", preset, recipe, console=QUIET)


@pytest.mark.one_backend
def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, work):
    (tmp_path / "file").write_text("")
    data, _, preset, recipe = arguments(work, "x")
    with pytest.raises(ValueError, match="cannot be written"):
        train_classifier(data, tmp_path / "file" / "run", preset, recipe, console=QUIET)


@pytest.mark.one_backend
def test_a_full_disk_is_an_error_at_the_start(work, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    with pytest.raises(ValueError, match=r"needs 2\d MB, and its disk has 1 MB"):
        train_classifier(*arguments(work, "full"), console=QUIET)


class Usage:
    free = 1_000_000


@pytest.mark.one_backend
def test_two_processes_do_not_train_in_one_folder(tmp_path):
    pytest.importorskip("fcntl")
    run = RunFolder(tmp_path)
    with run.claimed(), pytest.raises(ValueError, match="Another process"):
        RunFolder(tmp_path).claimed().__enter__()
    with RunFolder(tmp_path).claimed():
        pass


@pytest.mark.one_backend
def test_a_damaged_state_is_an_error(work):
    import shutil

    shutil.copytree(work / "whole", work / "damaged")
    state = work / "damaged/state.npz"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        train_classifier(*arguments(work, "damaged"), console=QUIET)


@pytest.mark.one_backend
def test_files_that_are_no_photos_are_reported_and_left_out(tmp_path, capsys):
    write_photos(tmp_path / "photos", 6)
    for name in ("red/bad.png", "blue/cut.png"):
        (tmp_path / "photos" / name).write_bytes(b"\x89PNG\r\n")
    write_preset(tmp_path / "preset")
    recipe = customize(QUICK, epochs=2)
    console = Console()
    history = train_classifier(
        tmp_path / "photos", tmp_path / "run", tmp_path / "preset", recipe, console=console
    )
    assert len(history) == 2
    rows = list(csv.DictReader((tmp_path / "run/skipped.csv").open()))
    assert {os.path.basename(row["path"]) for row in rows} == {"bad.png", "cut.png"}  # noqa: PTH119
    assert "bad.png" in capsys.readouterr().out
    assert "bad.png" in (tmp_path / "run/report.html").read_text()


def test_a_loss_that_is_no_number_stops_the_training(work):
    data, out, preset, recipe = arguments(work, "nan")
    with pytest.raises(ValueError, match="lower learning rate"):
        train_classifier(data, out, preset, customize(recipe, learning_rate=1e30), console=QUIET)


@pytest.mark.one_backend
def test_a_training_learns(tmp_path):
    write_photos(tmp_path / "photos", 12)
    write_preset(tmp_path / "preset")
    recipe = customize(
        CLASSIFICATION_RECIPES["scratch"], epochs=12, image_size=32, batch_size=9, mix=0
    )
    recipe = customize(recipe, batch_norm_momentum=0.8, ema_decay=0.9, rand_augment=0, seed=1)
    history = train_classifier(
        tmp_path / "photos", tmp_path / "run", tmp_path / "preset", recipe, console=QUIET
    )
    assert max(row["val_accuracy"] for row in history) == 1
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.one_backend
def test_patience_stops_early_and_stays_stopped(work):
    data, out, preset, recipe = arguments(work, "patient")
    # A rate of nothing: the accuracy cannot rise after the first epoch of the last stage.
    recipe = customize(recipe, epochs=30, patience=2, learning_rate=1e-12)
    history = train_classifier(data, out, preset, recipe, console=QUIET)
    assert 10 < len(history) < 30  # the head's epochs, before the rest, don't count
    again = train_classifier(data, out, preset, recipe, console=QUIET)
    assert again == history


@pytest.mark.one_backend
def test_the_average_follows_the_steps_of_the_optimizer(work):
    data, out, preset, recipe = arguments(work, "accumulated")
    recipe = customize(recipe, batch_size=9, accumulate=3, epochs=4)  # two batches in an epoch
    with pytest.raises(ValueError, match="accumulate fewer"):
        train_classifier(data, out, preset, recipe, console=QUIET)
    recipe = dataclasses.replace(recipe, stages=(Phase(3, 32),))
    train_classifier(data, work / "accumulated_2", preset, recipe, console=QUIET)
    with np.load(work / "accumulated_2/state.npz") as state:
        assert int(state["average/updates"]) == 2


@pytest.mark.one_backend
def test_the_last_stage_can_be_best_at_any_size(work):
    for size in (28, 48, 112, 150):
        stages = customize(CLASSIFICATION_RECIPES["finetune"], image_size=size).stages
        assert max(stage.image_size for stage in stages) == stages[-1].image_size == size


@pytest.mark.one_backend
def test_a_run_inside_the_data_is_refused(work):
    data, _, preset, recipe = arguments(work, "x")
    with pytest.raises(ValueError, match="inside the data"):
        train_classifier(data, data / "run", preset, recipe, console=QUIET)


@pytest.mark.one_backend
def test_a_level_that_the_model_lacks_is_refused_before_the_training(work):
    data, out, preset, recipe = arguments(work, "level")
    recipe = dataclasses.replace(recipe, stages=(Phase(1, 32), Phase(1, 32, "P7")))
    with pytest.raises(ValueError, match="P7"):
        train_classifier(data, out, preset, recipe, console=QUIET)
    assert not (out / "metrics.csv").exists()


@pytest.mark.one_backend
def test_tensorboard_files(work):
    data, out, preset, recipe = arguments(work, "board")
    recipe = customize(recipe, epochs=2)
    train_classifier(data, out, preset, recipe, tensorboard=True, console=QUIET)
    (file,) = (out / "tensorboard").iterdir()
    assert b"val_accuracy" in file.read_bytes()


def test_precision_and_class_weights_and_accumulation(work):
    data, out, preset, recipe = arguments(work, "mixed")
    recipe = customize(
        recipe, precision="mixed_bfloat16", class_weights="balanced", accumulate=2, epochs=2
    )
    history = train_classifier(data, out, preset, recipe, console=QUIET)
    assert all(np.isfinite(row["loss"]) for row in history)
    best = ImageClassifier.from_preset(out / "best")
    assert best.predict(np.ones((1, 32, 32, 3)), verbose=0).dtype == np.float32
