"""The training as one sees it: a line for each epoch, and a live bar."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Display:
    """Shows progress on a console.

    Args:
        console: where.
        epochs: number of epochs in all.
        figures: what training steps tell, the loss first.
        validation_figures: what evaluations tell.
    """

    def __init__(
        self,
        console: Console,
        epochs: int,
        figures: tuple[str, ...],
        validation_figures: tuple[str, ...],
    ) -> None:
        self.console = console
        self.epochs = epochs
        self.figures, self.validation_figures = figures, validation_figures
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
        )

    def __enter__(self) -> "Display":
        self._progress.start()
        self._task = self._progress.add_task("compiling", total=None)
        self._start, self._rate = time.perf_counter(), ""
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def batch(
        self, epoch: int, step: int, steps: int, batch_size: int, figures: dict[str, float]
    ) -> None:
        """Show a batch: the bar and the time left are those of the whole training."""
        if step == 1:
            self._start = time.perf_counter()
        else:  # the first step compiles
            rate = (step - 1) * batch_size / (time.perf_counter() - self._start)
            self._rate = f"  {rate:.0f} images/s"
        self._progress.update(
            self._task,
            total=self.epochs * steps,
            completed=epoch * steps + step,
            description=f"epoch {epoch + 1}/{self.epochs}  {_listed(figures, 3)}{self._rate}",
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Leave a line for a finished epoch."""
        best = "  [green]best[/]" if row["best"] else ""
        shown = {name: row[name] for name in self.figures}
        found = {
            name.removeprefix("val_"): row[name]
            for name in self.validation_figures
            if row[name] is not None
        }
        self.console.print(
            f"epoch {row['epoch']:3d}/{self.epochs}  {row['train']:>4} {row['image_size']:3d} px  "
            f"{_listed(shown, 4)}  {'validation: ' if found else ''}{_listed(found, 4)}  "
            f"{row['images_per_second']:.0f} images/s{best}",
            highlight=False,
            soft_wrap=True,
        )


def _listed(figures: dict[str, float], digits: int) -> str:
    return "  ".join(f"{name} {value:.{digits}f}" for name, value in figures.items())
