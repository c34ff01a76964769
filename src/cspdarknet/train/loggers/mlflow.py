"""Runs of MLflow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.presets.config import BEST
from cspdarknet.train.loggers.logger import REPORT, Logger, flat, pictures
from cspdarknet.train.loggers.mlflow_model import log_model
from cspdarknet.train.loggers.run_ids import run_id, save_run_id

MOST_CHARACTERS = 6000  # of a parameter's value


class MLflowLogger(Logger):
    """Logs to an experiment of the server or folder that `MLFLOW_TRACKING_URI` names."""

    module, extra = "mlflow", "mlflow"

    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None:
        self._mlflow: Any = require(self.module, self.extra, "Logging to MLflow")
        self._folder, self._task = folder, settings["task"]
        self._mlflow.set_experiment(project)
        known = run_id(folder, "mlflow")
        self._run = self._mlflow.start_run(run_id=known, run_name=None if known else folder.name)
        save_run_id(folder, "mlflow", self._run.info.run_id)
        if known is None:  # parameters of a run cannot change
            self._mlflow.log_params({n: text[:MOST_CHARACTERS] for n, text in flat(settings)})

    def batch(self, step: int, values: Mapping[str, float]) -> None:
        """Log means of the metrics over the finished batches of an epoch."""
        self._mlflow.log_metrics({f"batch_{n}": v for n, v in values.items()}, step=step)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log the metrics of a finished epoch."""
        self._mlflow.log_metrics(dict(values), step=epoch)

    def finish(self, evaluation: Mapping[str, float]) -> None:
        """Log the final report with its pictures, and the best model."""
        self._mlflow.log_metrics({f"best_{name}": v for name, v in evaluation.items()})
        for path in (self._folder / REPORT, *pictures(self._folder)):
            self._mlflow.log_artifact(str(path), "report")
        log_model(self._folder / BEST, self._task)

    def close(self, failed: bool) -> None:
        """End the run."""
        self._mlflow.end_run("FAILED" if failed else "FINISHED")
