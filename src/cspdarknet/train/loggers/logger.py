"""What every tracker of experiments is told of a training."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cspdarknet.train.tasks import Row

REPORT, PICTURES = "report.html", "*.png"


class Logger(ABC):
    """A run of a training in a tracker of experiments.

    A training that is continued opens the same run again. An epoch that was interrupted is logged
    twice, with the same values.

    Args:
        project: project, or experiment, of the tracker.
        folder: the run folder of the training.
        settings: settings of the training: the content of `run.json`.
    """

    module: str  # what must be installed, and the extra that does
    extra: str

    @abstractmethod
    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def batch(self, step: int, values: Mapping[str, float]) -> None:
        """Log means of the metrics over the finished batches of an epoch.

        Args:
            step: number of finished batches of the whole training.
            values: the means.
        """

    @abstractmethod
    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log the metrics of a finished epoch.

        Args:
            epoch: number of finished epochs.
            values: the metrics that were computed.
        """

    @abstractmethod
    def finish(self, evaluation: Mapping[str, float]) -> None:
        """Log the final report with its pictures, and the best model.

        Args:
            evaluation: metrics of the best model.
        """

    @abstractmethod
    def close(self, failed: bool) -> None:
        """End the run, or leave it to be continued where the training was interrupted."""


def numbers(row: Row, names: tuple[str, ...]) -> dict[str, float]:
    """Return the named metrics of an epoch, without those that were not computed."""
    return {name: row[name] for name in names if row.get(name) is not None}


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings as names and texts, as in `("recipe.batch_size", "8")`."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def pictures(folder: Path) -> list[Path]:
    """Return the pictures of a report: curves, confusion matrix, mistakes."""
    return sorted(folder.glob(PICTURES))
