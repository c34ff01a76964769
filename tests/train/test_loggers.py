"""Trackers of experiments: settings, metrics, pictures, the model, and continued runs."""

import dataclasses
import json

import numpy as np
import pytest

import cspdarknet
from cspdarknet.train import Phase
from cspdarknet.train.loggers import Loggers, check_loggers, open_loggers
from cspdarknet.train.loggers.logger import Logger, flat
from cspdarknet.train.loop import Training

pytestmark = pytest.mark.one_backend

TRACKERS = ["tensorboard", "wandb:garments", "mlflow:garments"]


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def run(classification_run, tmp_path_factory):
    """A training that logged everywhere, was stopped after its first epoch, and continued."""
    for module in ("tensorboardX", "wandb", "mlflow", "sqlalchemy"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("logged")
    recipe = dataclasses.replace(classification_run.recipe, phases=(Phase(2, 32),))
    options = {"out": folder / "run", "recipe": recipe, "log": TRACKERS, "pictures": True}
    save = Training._save

    def save_and_stop(training, row):
        save(training, row)
        raise StoppedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.chdir(folder)
        patch.setattr(Training, "_save", save_and_stop)
        patch.setattr("cspdarknet.train.loop.LOGGED_EVERY", 1)
        with pytest.raises(StoppedError):
            classification_run.train(**options)
        patch.setattr(Training, "_save", save)
        classification_run.train(**options)
        yield folder / "run"


@pytest.mark.slow
def test_tensorboard(run):
    contents = b"".join(path.read_bytes() for path in sorted((run / "tensorboard").iterdir()))
    for name in (b"batch/loss", b"val_accuracy", b"learning_rate", b"recipe.batch_size", b"curves"):
        assert name in contents


@pytest.mark.slow
def test_wandb_continues_the_same_run(run):
    identifier = json.loads((run / "loggers.json").read_text())["wandb"]
    parts = sorted((run / "wandb").glob("offline-run-*"))
    assert len(parts) == 2
    assert {path.name.rpartition("-")[2] for path in parts} == {identifier}
    first, second = ((path / f"run-{identifier}.wandb").read_bytes() for path in parts)
    assert b"val_accuracy" in first
    assert b"best/val_accuracy" in second
    assert f"model-{identifier}".encode() in second
    pictures = {p.name.rpartition("_")[0] for p in (parts[1] / "files/media/images").iterdir()}
    assert {name.rpartition("_")[0] for name in pictures} >= {"curves", "confusion", "mistakes"}


@pytest.mark.slow
def test_mlflow_continues_the_same_run(run):
    import mlflow

    (logged,) = mlflow.search_runs(experiment_names=["garments"], output_format="list")
    assert logged.info.status == "FINISHED"
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    client = mlflow.MlflowClient()
    values = {m.step: m.value for m in client.get_metric_history(logged.info.run_id, "loss")}
    assert values == {row["epoch"]: pytest.approx(row["loss"]) for row in history}
    assert logged.data.metrics["best_val_accuracy"] == max(row["val_accuracy"] for row in history)
    settings = json.loads((run / "run.json").read_text())
    assert logged.data.params["recipe.batch_size"] == str(settings["recipe"]["batch_size"])
    report = {path.path for path in client.list_artifacts(logged.info.run_id, "report")}
    assert report >= {"report/report.html", "report/curves.png", "report/mistakes.png"}


@pytest.mark.slow
def test_mlflow_loads_the_model(run, classification_run):
    import mlflow
    import pandas as pd

    (logged,) = mlflow.search_logged_models(output_format="list")
    model = mlflow.pyfunc.load_model(logged.model_uri)
    image = next(classification_run.data.rglob("*.png"))
    (row,) = model.predict(pd.DataFrame({"image": [image.read_bytes()]})).to_dict("records")
    predictor = cspdarknet.Predictor(run / "best")
    expected = predictor(image)
    np.testing.assert_allclose(row["probabilities"], expected, atol=1e-6)
    assert row["class_name"] == predictor.class_names[expected.argmax()]


@pytest.mark.parametrize("names", [["wndb"], ["wandb", "wandb:other"], [""]])
def test_trackers_that_do_not_exist_or_are_there_twice(names):
    with pytest.raises(ValueError, match=r"`log` must"):
        check_loggers(names)


def test_a_tracker_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://server")
    with (
        pytest.raises(ValueError, match=r"mlflow cannot be logged to: .*nowhere"),
        open_loggers(["mlflow"], tmp_path, {"task": "detection"}),
    ):
        pass


def test_a_training_goes_on_where_logging_fails():
    class Broken(Logger):
        def __init__(self):
            pass

        def batch(self, step, values):
            raise ConnectionError("no network")

        epoch = finish = close = batch

    loggers = Loggers({"broken": Broken()})
    with pytest.warns(UserWarning, match="Logging to broken failed: no network"):
        loggers.batch(1, {"loss": 1.0})


def test_settings_are_flattened():
    settings = {"task": "detection", "recipe": {"batch_size": 8, "phases": [{"epochs": 1}]}}
    assert dict(flat(settings)) == {
        "task": "detection",
        "recipe.batch_size": "8",
        "recipe.phases": '[{"epochs": 1}]',
    }
