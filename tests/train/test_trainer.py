"""The steps around the training loop: arguments, dataset, settings, report."""

import builtins
import csv
import dataclasses
import functools
import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from cspdarknet.train import Phase, customize
from cspdarknet.train.loop import Training
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


# Arguments.


def test_a_run_folder_inside_the_dataset(classification_run):
    with pytest.raises(ValueError, match="is inside the dataset"):
        classification_run.train(out=classification_run.data / "run")
    assert not (classification_run.data / "run").exists()


def test_the_number_of_workers(classification_run, tmp_path):
    with pytest.raises(ValueError, match="`workers` must be an integer, at least 1"):
        classification_run.train(out=tmp_path / "run", workers=0)


@pytest.mark.parametrize(
    ("module", "run", "extra", "arguments"),
    [
        ("grain", "classification_run", "train", {}),
        ("matplotlib", "classification_run", "train", {}),
        ("tensorboardX", "classification_run", "tensorboard", {"log": ["tensorboard"]}),
        ("wandb", "classification_run", "wandb", {"log": ["wandb:cells"]}),
        ("mlflow", "classification_run", "mlflow", {"log": ["mlflow"]}),
        ("pycocotools", "detection_run", "detect", {}),
    ],
)
def test_missing_packages_are_named_before_anything_is_written(
    module, run, extra, arguments, tmp_path, monkeypatch, request
):
    run, import_ = request.getfixturevalue(run), builtins.__import__
    monkeypatch.setattr(
        "importlib.import_module",
        lambda name: (
            (_ for _ in ()).throw(ModuleNotFoundError(name)) if name == module else import_(name)
        ),
    )
    with pytest.raises(ImportError, match=rf"needs {module}: .*cspdarknet\[{extra}\]"):
        run.train(out=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_a_level_that_the_model_lacks_is_refused_before_the_training(classification_run, tmp_path):
    recipe = dataclasses.replace(
        classification_run.recipe, phases=(Phase(1, 32), Phase(1, 32, "P7"))
    )
    with pytest.raises(ValueError, match="train='P7'"):
        classification_run.train(out=tmp_path / "run", recipe=recipe)
    assert not (tmp_path / "run/metrics.csv").exists()


def test_a_recipe_of_the_other_task(classification_run, detection_run, tmp_path):
    with pytest.raises(ValueError, match="needs a ClassificationRecipe"):
        classification_run.train(out=tmp_path / "run", recipe=detection_run.recipe)


# Settings, and continuing.


def test_the_settings_of_a_run(detection_run):
    settings = json.loads((detection_run.path / "run.json").read_text())
    assert settings["task"] == "detection"
    assert settings["data"] == str(detection_run.data)
    assert settings["class_names"] == ["blue", "red"]
    assert settings["recipe"] == detection_run.recipe.to_json()
    assert [settings["splits"][name]["images"] for name in ("train", "validation")] == [4, 1]


def test_a_finished_run_is_left_as_it_is(classification_run):
    before = (classification_run.path / "state.npz").stat().st_mtime_ns
    assert classification_run.train(out=classification_run.path) == classification_run.history
    assert (classification_run.path / "state.npz").stat().st_mtime_ns == before


def test_other_settings_do_not_continue_a_run(classification_run):
    recipe = customize(classification_run.recipe, batch_size=5)
    with pytest.raises(ValueError, match="batch size 6 → 5"):
        classification_run.train(out=classification_run.path, recipe=recipe)


def test_a_damaged_state_is_an_error(classification_run, tmp_path):
    shutil.copytree(classification_run.path, tmp_path / "run")
    state = tmp_path / "run/state.npz"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is damaged"):
        classification_run.train(out=tmp_path / "run")


def test_the_seed_decides_the_weights(classification_run, tmp_path):
    recipe = customize(classification_run.recipe, seed=1)
    classification_run.train(out=tmp_path / "same")
    classification_run.train(out=tmp_path / "other", recipe=recipe)
    expected, same, other = (
        classification_run.weights(out=out) for out in (None, tmp_path / "same", tmp_path / "other")
    )
    assert all(np.array_equal(array, same[name]) for name, array in expected.items())
    assert any(not np.array_equal(array, other[name]) for name, array in expected.items())


def test_a_full_disk_is_an_error_at_the_start(classification_run, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"needs 2\d MB of disk space, and 1 MB are free"):
        classification_run.train(out=tmp_path / "run")


# Unreadable images.


@pytest.fixture
def damaged(tmp_path):
    """A dataset with two files that are not images."""
    images = write_class_folders(tmp_path / "images", 4)
    for name in ("red/bad.png", "blue/cut.png"):
        (images / name).write_bytes(b"\x89PNG\r\n")
    return images


def stop(*args, **kwargs):
    raise KeyboardInterrupt


def test_unreadable_images_are_named_and_skipped(damaged, classification_run, tmp_path, capsys):
    from cspdarknet.train import train_classifier

    recipe = dataclasses.replace(classification_run.recipe, phases=(Phase(1, 32),))
    train_classifier(
        damaged, tmp_path / "run", classification_run.preset, recipe, console=Console(width=300)
    )
    rows = list(csv.DictReader((tmp_path / "run/skipped.csv").open()))
    assert {row["path"] for row in rows} == {
        str(damaged / "red/bad.png"),
        str(damaged / "blue/cut.png"),
    }
    output = capsys.readouterr().out
    assert "2 files cannot be read as images and are skipped:" in output
    assert f"{damaged / 'red/bad.png'}: " in output
    assert "Skipped while training" not in output
    assert "bad.png" in (tmp_path / "run/report.html").read_text()


def test_a_continued_run_skips_the_same_images(damaged, classification_run, tmp_path, monkeypatch):
    from cspdarknet.train import train_classifier

    monkeypatch.setattr(Training, "fit", stop)
    arguments = damaged, tmp_path / "run", classification_run.preset, classification_run.recipe
    with pytest.raises(KeyboardInterrupt):
        train_classifier(*arguments, check=False, console=Console(quiet=True))
    assert len((tmp_path / "run/skipped.csv").read_text().splitlines()) == 1
    # Images that were not skipped at the start are not skipped later.
    with pytest.raises(KeyboardInterrupt):
        train_classifier(*arguments, console=Console(quiet=True))
    assert len((tmp_path / "run/skipped.csv").read_text().splitlines()) == 1
    (tmp_path / "run/skipped.csv").write_text("path,reason\n/gone.png,damaged\n")
    with pytest.raises(ValueError, match=r"not in the dataset, such as /gone\.png"):
        train_classifier(*arguments, console=Console(quiet=True))


def test_a_split_without_a_readable_image(classification_run, tmp_path):
    from cspdarknet.train import train_classifier

    images = tmp_path / "images"
    write_class_folders(images / "train", 1)
    for path in write_class_folders(images / "val", 1).rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="The validation split needs a readable image"):
        train_classifier(
            images,
            tmp_path / "run",
            classification_run.preset,
            classification_run.recipe,
            console=Console(quiet=True),
        )


def test_images_that_are_lost_while_training_are_named(classification_run, tmp_path, capsys):
    from cspdarknet.train import train_classifier

    images = write_class_folders(tmp_path / "images", 3)
    (images / "red/bad.png").write_bytes(b"")
    recipe = dataclasses.replace(classification_run.recipe, phases=(Phase(2, 32),), batch_size=3)
    train_classifier(
        images,
        tmp_path / "run",
        classification_run.preset,
        recipe,
        check=False,
        console=Console(width=300),
    )
    assert f"Skipped while training: {images / 'red/bad.png'}" in capsys.readouterr().out


def test_the_start_of_a_training_says_what_it_is(classification_run, monkeypatch, tmp_path):
    """Format, splits and classes of the dataset, the model, the device and the phases."""
    monkeypatch.setattr(Training, "fit", stop)
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        classification_run.train(out=tmp_path / "run", console=Console(file=output, width=60))
    data, images, model, training = output.getvalue().splitlines()[:4]
    assert data == "data: class folders: 3 folders of images, named after classes"
    assert images.startswith("images: ")
    assert images.endswith(" for validation; 3 classes: blue, green, red")
    assert model.startswith(f"model: {classification_run.preset}, in float32 by ")
    assert training == (
        "training: 1 epoch of head at 32 pixels, then 2 epochs of all at 32 pixels; batch size 6"
    )


@pytest.mark.parametrize("run", ["classification_run", "detection_run"])
def test_a_packed_dataset_is_trained_and_evaluated_on_like_the_folder(run, request, tmp_path):
    """The weights are the same, and so are the metrics; a run on the folder is continued."""
    from cspdarknet.data import pack_dataset

    run = request.getfixturevalue(run)
    packed = pack_dataset(run.data, tmp_path / "packed", "parquet").path
    train = functools.partial(run.train.func, run.train.args[0])
    arguments = {**run.train.keywords, "out": tmp_path / "run"}
    history = train(packed, **arguments)
    assert [row["loss"] for row in history] == [row["loss"] for row in run.history]
    expected, found = run.weights(), run.weights(out=tmp_path / "run")
    assert all(np.array_equal(array, found[name]) for name, array in expected.items())
    assert train(run.data, **arguments) == history
