"""Runs of Weights & Biases."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.presets.config import BEST
from cspdarknet.train.loggers.logger import REPORT, Logger, pictures
from cspdarknet.train.loggers.run_ids import run_id, save_run_id


class WandbLogger(Logger):
    """Logs to a project of Weights & Biases, or offline, as `WANDB_MODE` says."""

    module, extra = "wandb", "wandb"

    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None:
        self._wandb: Any = require(self.module, self.extra, "Logging to Weights & Biases")
        self._folder = folder
        self._run = self._wandb.init(
            project=project,
            name=folder.name,
            id=run_id(folder, "wandb"),
            resume="allow",
            dir=str(folder),
            config=dict(settings),
            settings=self._wandb.Settings(silent=os.environ.get("WANDB_SILENT", "true") == "true"),
        )
        save_run_id(folder, "wandb", self._run.id)
        self._run.define_metric("epoch")
        self._run.define_metric("step")
        self._run.define_metric("batch/*", step_metric="step")
        self._run.define_metric("*", step_metric="epoch")

    def batch(self, step: int, values: Mapping[str, float]) -> None:
        """Log means of the metrics over the finished batches of an epoch."""
        self._run.log({"step": step, **{f"batch/{name}": v for name, v in values.items()}})

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log the metrics of a finished epoch."""
        self._run.log({"epoch": epoch, **values})

    def finish(self, evaluation: Mapping[str, float]) -> None:
        """Log the final report with its pictures, and the best model."""
        self._run.summary.update({f"best/{name}": v for name, v in evaluation.items()})
        images = {path.stem: self._wandb.Image(str(path)) for path in pictures(self._folder)}
        self._run.log(images)
        model = self._wandb.Artifact(f"model-{self._run.id}", "model", metadata=dict(evaluation))
        model.add_dir(str(self._folder / BEST))
        report = self._wandb.Artifact(f"report-{self._run.id}", "report")
        for path in (self._folder / REPORT, *pictures(self._folder)):
            report.add_file(str(path))
        for artifact in (model, report):
            self._run.log_artifact(artifact)

    def close(self, failed: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=int(failed))
