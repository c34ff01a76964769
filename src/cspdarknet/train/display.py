"""Progress of a training on the console: a line for each epoch, and a progress bar."""

import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Display:
    """Shows the progress of a training; use it as a context manager.

    Args:
        console: the console to print to.
        epochs: total number of epochs.
        metrics: names of the metrics of a training step, the loss first.
        validation_metrics: names of the metrics of an evaluation.
    """

    def __init__(
        self,
        console: Console,
        epochs: int,
        metrics: tuple[str, ...],
        validation_metrics: tuple[str, ...],
    ) -> None:
        self.console = console
        self.epochs = epochs
        self.metrics, self.validation_metrics = metrics, validation_metrics
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
        )

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task("compiling", total=None)
        self._start, self._speed = time.perf_counter(), ""
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def batch(
        self, epoch: int, step: int, steps: int, batch_size: int, metrics: dict[str, float]
    ) -> None:
        """Show a finished batch. Bar and remaining time are those of the whole training.

        Args:
            epoch: index of the epoch, from 0.
            step: number of finished batches of the epoch.
            steps: total number of batches in an epoch.
            batch_size: number of images in a batch.
            metrics: means of the metrics over the finished batches.
        """
        if step == 1:
            self._start = time.perf_counter()
        else:  # the first step of an epoch may compile
            speed = (step - 1) * batch_size / (time.perf_counter() - self._start)
            self._speed = f"  {speed:.0f} images/s"
        self._progress.update(
            self._task,
            total=self.epochs * steps,
            completed=epoch * steps + step,
            description=f"epoch {epoch + 1}/{self.epochs}  {_listed(metrics, 3)}{self._speed}",
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Print a line about a finished epoch, given its row of the history."""
        best = "  [green]best[/]" if row["best"] else ""
        training = {name: row[name] for name in self.metrics}
        validation = {
            name.removeprefix("val_"): row[name]
            for name in self.validation_metrics
            if row[name] is not None
        }
        self.console.print(
            f"epoch {row['epoch']:3d}/{self.epochs}  {row['train']:>4} {row['image_size']:3d} px  "
            f"{_listed(training, 4)}  {'validation: ' if validation else ''}"
            f"{_listed(validation, 4)}  {row['images_per_second']:.0f} images/s{best}",
            highlight=False,
            soft_wrap=True,
        )


def _listed(metrics: dict[str, float], decimals: int) -> str:
    return "  ".join(f"{name} {value:.{decimals}f}" for name, value in metrics.items())
