"""Logs for TensorBoard, in the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cspdarknet._extras import require
from cspdarknet.train.loggers.logger import Logger, flat, pictures


class TensorBoardLogger(Logger):
    """Writes event files into the folder `tensorboard` of the run; it has no projects."""

    module, extra = "tensorboardX", "tensorboard"

    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None:  # noqa: ARG002
        package: Any = require(self.module, self.extra, "Logging to TensorBoard")
        self._folder = folder
        self._writer = package.SummaryWriter(str(folder / "tensorboard"))
        rows = "\n".join(f"| {name} | {text} |" for name, text in flat(settings))
        self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}")

    def batch(self, step: int, values: Mapping[str, float]) -> None:
        """Log means of the metrics over the finished batches of an epoch."""
        for name, value in values.items():
            self._writer.add_scalar(f"batch/{name}", value, step)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log the metrics of a finished epoch."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def finish(self, evaluation: Mapping[str, float]) -> None:
        """Log the pictures of the final report, and the metrics of the best model."""
        for path in pictures(self._folder):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._writer.add_image(path.stem, pixels, dataformats="HWC")
        for name, value in evaluation.items():
            self._writer.add_scalar(f"best/{name}", value)

    def close(self, failed: bool) -> None:  # noqa: ARG002
        """End the run."""
        self._writer.close()
