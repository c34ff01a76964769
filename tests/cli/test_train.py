"""`cspdarknet train`: its options, and what it prints."""

import sys

import pytest
from typer.testing import CliRunner

from cspdarknet import train
from cspdarknet.cli import app
from image_datasets import write_class_folders, write_yolo_dataset
from support import run_command

pytestmark = pytest.mark.one_backend

HISTORY = [
    {"epoch": 1, "best": True, "val_accuracy": 0.5, "val_map": 0.25, "val_kappa": 0.75},
    {"epoch": 2, "best": False, "val_accuracy": 0.4, "val_map": 0.2, "val_kappa": 0.7},
]


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs the command with trainings that return at once, and keep their arguments in `calls`."""

    write_class_folders(tmp_path / "images", 1)
    write_yolo_dataset(tmp_path / "boxes", 1)

    def invoke(*options, data="images"):
        arguments = ["train", str(tmp_path / data), "--out", str(tmp_path / "run"), *options]
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})

    invoke.calls = []
    for name in ("train_classifier", "train_detector"):

        def function(data, out, preset, recipe, name=name, **options):
            invoke.calls.append((name, preset, recipe, options))
            return HISTORY

        monkeypatch.setattr(train, name, function)
    return invoke


def test_the_defaults_of_both_tasks(command):
    """The task is that of the data."""
    result = command()
    assert "Best: epoch 1, validation accuracy 0.5000" in result.output
    result = command(data="boxes")
    assert "Best: epoch 1, validation mAP 0.2500" in result.output
    (first, classifier, recipe, options), (second, detector, _, more) = command.calls
    assert (first, classifier) == ("train_classifier", "csp_darknet_tiny_clothing")
    assert (second, detector) == ("train_detector", "yolox_nano_bccd")
    assert recipe == train.CLASSIFICATION_RECIPES["finetune"]
    console = options.pop("console")
    assert console is not None
    assert options == {
        **{"load_weights": None, "validation_split": 0.15, "check": True, "workers": 2},
        **{"log": (), "on_problem": "raise", "format": None},
        **{"auto_batch_size": False, "image_cache": None, "teacher": None},
    }
    assert options.keys() == more.keys() - {"console"}


def test_options_change_the_recipe_and_the_training(command):
    command(
        *("--recipe", "scratch", "--model", "csp_darknet_s", "--from-scratch", "--seed", "7"),
        *("--epochs", "34", "--image-size", "64", "--class-weights", "balanced", "--no-check"),
        *("--focal-gamma", "2", "--label-smoothing", "0.05"),
    )
    ((_, preset, recipe, options),) = command.calls
    assert preset == "csp_darknet_s"
    assert (recipe.epochs, recipe.image_size, recipe.seed) == (34, 64, 7)
    assert (recipe.class_weights, recipe.focal_gamma) == ("balanced", 2.0)
    assert recipe.label_smoothing == 0.05
    assert (options["load_weights"], options["check"]) == (False, False)


def test_labels_and_the_order_of_classes(command):
    """The labels say that the task is classification, whatever the data look like."""
    result = command("--labels", "multi", data="nothing")
    assert "validation mAP 0.2500" in result.output
    result = command("--labels", "ordinal", "--class-names", "red, green,blue", data="nothing")
    assert "validation quadratic weighted kappa 0.7500" in result.output
    (_, _, multi, _), (_, _, ordinal, options) = command.calls
    assert (multi.labels, ordinal.labels) == ("multi", "ordinal")
    assert options["class_names"] == ("red", "green", "blue")


def test_the_batch_size_is_a_number_or_found(command):
    command("--batch-size", "12", "--image-cache", "disk")
    command("--batch-size", "auto", "--accumulate", "2")
    (_, _, recipe, options), (_, _, found, more) = command.calls
    assert (recipe.batch_size, options["auto_batch_size"]) == (12, False)
    assert options["image_cache"] == "disk"
    expected = train.CLASSIFICATION_RECIPES["finetune"].batch_size
    assert (found.batch_size, found.accumulate, more["auto_batch_size"]) == (expected, 2, True)
    result = command("--batch-size", "all")
    assert "must be a number, or auto. Received: --batch-size all" in str(result.exception)


@pytest.mark.parametrize(
    "options",
    [
        ["--task", "detection", "--class-weights", "balanced"],
        ["--task", "detection", "--focal-gamma", "2"],
        ["--task", "detection", "--labels", "multi"],
        ["--task", "detection", "--class-names", "a,b"],
        ["--task", "classification", "--flip-vertical", "1"],
        ["--task", "classification", "--tile", "64"],
        ["--task", "classification", "--levels", "P2,P3"],
    ],
)
def test_options_of_the_other_task_are_refused(command, options):
    result = command(*options)
    assert isinstance(result.exception, ValueError)
    assert "is for --task" in str(result.exception)
    assert not command.calls


def test_an_interruption_ends_the_command_with_advice(command, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train_classifier", interrupted)
    result = command()
    assert result.exit_code == 130
    assert "Run the same command again to continue." in result.output


@pytest.mark.parametrize("is_run", [True, False])
def test_other_processes_run_the_command_on_several_devices(command, monkeypatch, is_run):
    given = []
    run = lambda devices: given.append(devices) or is_run  # noqa: E731
    monkeypatch.setattr(train.distributed, "run_on_devices", run)
    assert command("--devices", "2").exit_code == 0
    assert given == ["2"]
    assert len(command.calls) == (0 if is_run else 1)


def test_devices_and_processes_to_join_at_once(command):
    result = command("--devices", "2", "--join", "auto")
    assert "either `--devices` or `--join`" in str(result.exception)
    assert not command.calls


def test_the_backend_is_that_of_the_run_that_is_continued_or_the_fastest(tmp_path, monkeypatch):
    preferred = []
    module = sys.modules["cspdarknet.cli.train"]  # `cspdarknet.cli.train` is the command
    monkeypatch.setattr(module, "prefer_backend", preferred.append)
    monkeypatch.setattr(module, "training_backend", lambda: "torch")
    runs = {"tensorflow": '{"backend": "tensorflow"}', "broken": "{", "other": '{"backend": 3}'}
    for name, content in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    for name in (*runs, "new"):
        assert run_command("train", tmp_path / "none", "--out", tmp_path / name).exit_code == 1
    run_command("train", tmp_path / "none", "--out", tmp_path / "new", "--join", "a:1,2,0")
    assert preferred == ["tensorflow", "torch", "torch", "torch", "jax"]


def test_levels_of_a_detector(command):
    command("--levels", "P2, P3,P4", data="boxes")
    ((_, _, recipe, _),) = command.calls
    assert recipe.levels == ("P2", "P3", "P4")
    for levels, remedy in (("P3,P2", "pass ('P2', 'P3')"), ("P2,P4", "add P3"), ("", "''")):
        result = command("--levels", levels, data="boxes")
        assert "`levels` must be one or more consecutive" in str(result.exception)
        assert remedy in str(result.exception)
    assert len(command.calls) == 1
