"""The run folder of a training: its settings, metrics, skipped files and state."""

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from cspdarknet._files import OutputFolder
from cspdarknet._unfinished import claim, remove_leftovers
from cspdarknet.data.dataset import DatasetSplits
from cspdarknet.data.problems import Problem
from cspdarknet.presets.config import BEST, LAST, RUN_SETTINGS
from cspdarknet.train.differences import differences

SKIPPED, IMAGES, LOCK = "skipped.csv", "images.csv", ".lock"
PICTURES_BYTES = 20_000_000
# The state holds weights, EMA and two moments; the best and the last model come on top, and each
# file is written beside the one that it replaces.
WEIGHTS_COPIES = 10
SHOWN_DIFFERENCES = 5


class RunFolder(OutputFolder):
    """The folder of one training, whose files are written atomically."""

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes out of the folder inside this context.

        The claim ends with the process, also when it is killed.

        Raises:
            ValueError: if another process has claimed the folder.
        """
        with (self.path / LOCK).open("w") as lock:
            if not _is_free(lock):
                raise ValueError(
                    f"Another process is training in {self.path}: wait for it, or choose another "
                    "folder."
                )
            for folder in (self.path, self.path / BEST, self.path / LAST):
                remove_leftovers(folder)
            yield

    def begin(self, settings: dict[str, Any]) -> None:
        """Write the settings of a new run, or compare them with those of the run to continue.

        Args:
            settings: settings of the run, as JSON types.

        Raises:
            ValueError: if the settings differ, or the folder holds other files.
        """
        settings = json.loads(json.dumps(settings))
        if not (self.path / RUN_SETTINGS).exists():
            if others := [p.name for p in self.path.iterdir() if not p.name.startswith(".")]:
                raise ValueError(
                    f"{self.path} holds other files (such as {others[0]}): choose a new folder."
                )
            self.write_json(RUN_SETTINGS, settings)
        elif different := differences(self.read_json(RUN_SETTINGS), settings):
            rest = len(different) - SHOWN_DIFFERENCES
            shown = different[:SHOWN_DIFFERENCES] + ([f"and {rest} more"] if rest > 0 else [])
            raise ValueError(
                f"{self.path} holds a run with other settings: {', '.join(shown)}. Settings cannot "
                "change within a run. Train with the old ones to continue it; or into another "
                f"folder, where `--model {self.path}` starts from its best model."
            )

    def check_space(self, weights_bytes: int) -> None:
        """Check that the disk has room for a run.

        Args:
            weights_bytes: size of the model's weights.

        Raises:
            ValueError: if there is too little space.
        """
        needed = WEIGHTS_COPIES * weights_bytes + PICTURES_BYTES
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise ValueError(
                f"A run in {self.path} needs {needed / 1e6:.0f} MB of disk space, and "
                f"{free / 1e6:.0f} MB are free: choose a folder on another disk."
            )

    def write_history(self, history: Sequence[dict[str, Any]]) -> None:
        """Write the metrics of all epochs, as CSV and as JSON lines."""
        table = io.StringIO()
        writer = csv.DictWriter(table, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        self.write_text("metrics.csv", table.getvalue())
        self.write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in history))

    def write_problems(self, problems: Sequence[Problem], name: str = SKIPPED) -> None:
        """Write a CSV file of the unusable files of the dataset, with the reasons.

        Args:
            problems: the files. By default they are those that the training skips.
            name: name of the CSV file.
        """
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["kind", "path", "where", "reason", "action"])
        writer.writerows(
            [problem.kind, problem.path.absolute(), problem.where, problem.reason, problem.action]
            for problem in problems
        )
        self.write_text(name, table.getvalue())

    def write_images(self, splits: DatasetSplits[Any]) -> None:
        """Write a CSV file of the images of each split."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["split", "path"])
        for name, dataset in (("train", splits.train), ("validation", splits.validation)):
            writer.writerows([name, path.absolute()] for path in dataset.paths)
        self.write_text(IMAGES, table.getvalue())

    def read_skipped(self) -> list[Problem] | None:
        """Return the files that the training skips; `None` if they were not checked yet."""
        file = self.path / SKIPPED
        if not file.exists():
            return None
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
            rows = csv.DictReader(lines)
            return [
                Problem(row.get("kind", "unreadable image"), Path(row["path"]), row["reason"])
                for row in rows
            ]


def trained_images(run: str | Path) -> set[Path]:
    """Return the images that the model of a run folder was trained on; none for other models."""
    file = Path(run) / IMAGES
    if not file.is_file():
        return set()
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "train"]
    return {Path(row["path"]).resolve() for row in rows}


def _is_free(lock: TextIO) -> bool:
    """Claim a lock file; `True` also where the file system has no locks."""
    try:
        return claim(lock)
    except OSError:
        return True
