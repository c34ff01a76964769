"""Progress of a training on the console: a table with a row for each epoch, and a bar."""

import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from cspdarknet.reports.evaluation import METRIC_TITLES

BAR_WIDTH = 20
MIN_WIDTH = 6  # of a metric, which has four decimals


class Display:
    """Shows the progress of a training; use it as a context manager.

    A table of the epochs is printed, in which the terms of a loss are left out: its rows fit into
    80 columns, and `metrics.csv` has all. Where the output is a terminal, there is a bar below.

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
        self.console, self.epochs = console, epochs
        shown = [name for name in metrics if not name.endswith("_loss")]
        self._columns = {
            name: METRIC_TITLES.get(name, name) for name in (*shown, *validation_metrics)
        }
        self._progress = live_progress(
            console, TextColumn("{task.description}"), BarColumn(BAR_WIDTH), TimeRemainingColumn()
        )

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task("compiling", total=None)
        self._start, self._speed, self._has_titles = time.perf_counter(), "", False
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
            self._speed = f"  {_speed(speed)} images/s"
        self._progress.update(
            self._task,
            total=self.epochs * steps,
            completed=epoch * steps + step,
            description=f"epoch {epoch + 1}/{self.epochs}  loss {metrics['loss']:.3f}{self._speed}",
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Print the row of a finished epoch, given its row of the history."""
        cells = self._cells(row)
        if not self._has_titles:
            self._print(Text("  ".join(title.rjust(width) for title, width, _ in cells)))
            self._has_titles = True
        line = Text("  ".join(text.rjust(width) for _, width, text in cells))
        self._print(line.append("  best", style="green") if row["best"] else line)

    def _cells(self, row: dict[str, Any]) -> list[tuple[str, int, str]]:
        """Return title, width and text of each cell of an epoch."""
        metrics = [
            (title, MIN_WIDTH, "–" if row[name] is None else f"{row[name]:.4f}")
            for name, title in self._columns.items()
        ]
        cells = [
            ("epoch", 2 * len(str(self.epochs)) + 1, f"{row['epoch']}/{self.epochs}"),
            ("layers", 0, row["train"]),
            ("size", 0, str(row["image_size"])),
            *metrics,
            ("images/s", 0, _speed(row["images_per_second"])),
        ]
        return [(title, max(width, len(title)), text) for title, width, text in cells]

    def _print(self, line: Text) -> None:
        self.console.print(line, soft_wrap=True, highlight=False)


def live_progress(console: Console, *columns: ProgressColumn) -> Progress:
    """Return a progress bar that is not shown in pipes and files, and vanishes at its end."""
    is_shown = console.is_terminal or console.is_jupyter
    return Progress(*columns, console=console, transient=True, disable=not is_shown)


def _speed(images_per_second: float) -> str:
    """Return a speed, with a decimal where it is below 10."""
    return f"{images_per_second:.{0 if images_per_second >= 9.95 else 1}f}"
