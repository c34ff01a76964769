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
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self.console = console
        self.epochs = epochs
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
            description=f"epoch {epoch + 1}/{self.epochs}  loss {figures['loss']:.3f}  "
            f"accuracy {figures['accuracy']:.3f}{self._rate}",
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Leave a line for a finished epoch."""
        best = "  [green]best[/]" if row["best"] else ""
        self.console.print(
            f"epoch {row['epoch']:3d}/{self.epochs}  {row['train']:>4} {row['image_size']:3d} px  "
            f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
            f"validation: loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:.4f}  "
            f"{row['images_per_second']:.0f} images/s{best}",
            highlight=False,
            soft_wrap=True,
        )
