"""From the names of trackers, as on the command line, to a training's runs in them."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cspdarknet._arguments import check_choice
from cspdarknet._extras import require
from cspdarknet.train.loggers.logger import Logger
from cspdarknet.train.loggers.mlflow import MLflowLogger
from cspdarknet.train.loggers.tensorboard import TensorBoardLogger
from cspdarknet.train.loggers.wandb import WandbLogger

LOGGERS: dict[str, type[Logger]] = {
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
    "mlflow": MLflowLogger,
}
PROJECT = "cspdarknet"


def check_loggers(names: Sequence[str]) -> None:
    """Check that trackers exist, are named once, and are installed.

    Args:
        names: `"tensorboard"`, `"wandb"`, `"mlflow"`; with a project, as in `"wandb:cells"`.

    Raises:
        ValueError: if a name is none of them, or is there twice.
        ImportError: if a package is missing; the message contains the pip command.
    """
    trackers = [name.partition(":")[0] for name in names]
    for tracker in trackers:
        check_choice("log", tracker, tuple(LOGGERS))
        logger = LOGGERS[tracker]
        require(logger.module, logger.extra, f"Logging to {tracker}")
    if len(set(trackers)) < len(trackers):
        raise ValueError(f"`log` must name each tracker once. Received: {', '.join(names)}")


class Loggers:
    """A training's runs in all its trackers.

    The training goes on where one of them fails, as it does without a network.

    Args:
        loggers: the runs, by the name of the tracker.
    """

    def __init__(self, loggers: Mapping[str, Logger] | None = None) -> None:
        self._loggers = dict(loggers or {})

    def batch(self, step: int, values: Mapping[str, float]) -> None:
        """Log means of the metrics of some batches, as `Logger.batch`."""
        self._all(lambda logger: logger.batch(step, values))

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log the metrics of a finished epoch, as `Logger.epoch`."""
        self._all(lambda logger: logger.epoch(epoch, values))

    def finish(self, evaluation: Mapping[str, float]) -> None:
        """Log the final report and the best model, as `Logger.finish`."""
        self._all(lambda logger: logger.finish(evaluation))

    def close(self, failed: bool) -> None:
        """End the runs, as `Logger.close`."""
        self._all(lambda logger: logger.close(failed))

    def _all(self, call: Callable[[Logger], object]) -> None:
        for name, logger in self._loggers.items():
            try:
                call(logger)
            except Exception as error:
                warnings.warn(f"Logging to {name} failed: {error}", stacklevel=3)


@contextlib.contextmanager
def open_loggers(
    names: Sequence[str], folder: Path, settings: Mapping[str, Any]
) -> Iterator[Loggers]:
    """Open a training's runs in trackers, and close them at the end of the context.

    Args:
        names: as of `check_loggers`.
        folder: the run folder.
        settings: settings of the run.

    Raises:
        ValueError: if a tracker cannot be reached, or refuses the run.
    """
    opened: dict[str, Logger] = {}
    failed = True
    try:
        for name in names:
            opened[name] = _opened(name, folder, settings)
        yield Loggers(opened)
        failed = False
    finally:
        Loggers(opened).close(failed)


def _opened(name: str, folder: Path, settings: Mapping[str, Any]) -> Logger:
    tracker, _, project = name.partition(":")
    try:
        return LOGGERS[tracker](project or PROJECT, folder, settings)
    except Exception as error:
        raise ValueError(f"{tracker} cannot be logged to: {error}") from error
