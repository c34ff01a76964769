"""The folder of a run: what was asked for, how it went, and where to go on."""

import contextlib
import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cspdarknet._files import write_whole
from cspdarknet.data.check import Skipped

SETTINGS, SKIPPED, STATE, LOCK = "run.json", "skipped.csv", "state.npz", ".lock"
PICTURES_BYTES = 20_000_000
# Settings that may change when a run goes on, since they don't change its result.
FREE_SETTINGS = ("data", "versions")


class RunFolder:
    """Files of one training; each of them appears whole or not at all.

    Args:
        path: the folder; it is made if it is missing.

    Raises:
        ValueError: if the folder cannot be written, or holds something other than a run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(b"1")
        except OSError as error:
            raise ValueError(
                f"{self.path} cannot be written ({error.strerror}): choose another folder."
            ) from error

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes out of the folder; the claim ends with this process."""
        with (self.path / LOCK).open("w") as lock:
            if not _locked(lock):
                raise ValueError(f"Another process is training in {self.path}.")
            yield

    def begin(self, settings: dict[str, Any]) -> None:
        """Write the settings of a new run, or check that a begun one had the same.

        Raises:
            ValueError: if they differ, or the folder holds other files.
        """
        wanted = json.loads(json.dumps(settings))
        file = self.path / SETTINGS
        if not file.exists():
            if others := [p.name for p in self.path.iterdir() if not p.name.startswith(".")]:
                raise ValueError(
                    f"{self.path} holds other files (such as {others[0]}): choose a new folder."
                )
            self.write_json(SETTINGS, wanted)
            return
        found = self.read_json(SETTINGS)
        if different := _differences(found, wanted):
            raise ValueError(
                f"{self.path} holds a run with other settings ({'; '.join(different)}): use the "
                "same command to go on with it, or another folder for a new run."
            )

    def check_space(self, weights_bytes: int) -> None:
        """Refuse to begin what the disk has no room for.

        Raises:
            ValueError: if there is too little space.
        """
        # The state holds weights, averages and two moments; best and last models come to it, and
        # each file is written beside the one it replaces.
        needed = 10 * weights_bytes + PICTURES_BYTES
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise ValueError(
                f"{self.path} needs {needed / 1e6:.0f} MB, and its disk has {free / 1e6:.0f} MB."
            )

    def write(self, name: str, write: Callable[[Any], Any]) -> None:
        """Write a file through a function that is given a binary file."""

        def write_through(part: Path) -> None:
            with part.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())

        write_whole(self.path / name, write_through)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        self.write(name, lambda file: file.write(text.encode(errors="surrogateescape")))

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(content, indent=2) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file of this folder."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ValueError(f"{self.path} is not the folder of a run: no {name}.") from error
        except ValueError as error:
            raise ValueError(f"{self.path / name} is damaged: {error}") from error

    def write_history(self, history: Sequence[dict[str, Any]]) -> None:
        """Write the figures of all epochs, as CSV and as JSON lines."""
        table = io.StringIO()
        writer = csv.DictWriter(table, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        self.write_text("metrics.csv", table.getvalue())
        self.write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in history))

    def write_skipped(self, skipped: Sequence[Skipped], name: str = SKIPPED) -> None:
        """Write a list of files and what is wrong with them: those that are left out."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["path", "reason"])
        writer.writerows([item.path.absolute(), item.reason] for item in skipped)
        self.write_text(name, table.getvalue())

    def read_skipped(self) -> list[Skipped] | None:
        """Return the files that were left out; `None` if the photos were not checked yet."""
        file = self.path / SKIPPED
        if not file.exists():
            return None
        with file.open(newline="", encoding="utf-8") as lines:
            return [Skipped(Path(row["path"]), row["reason"]) for row in csv.DictReader(lines)]


def model_folder(source: str | Path, which: str = "best") -> str | Path:
    """Return the preset that a run folder holds; any other source is the name of a preset itself.

    Raises:
        ValueError: if the run has no model yet.
    """
    if not (Path(source) / SETTINGS).is_file():
        return source
    model = Path(source) / which
    if not model.is_dir():
        raise ValueError(f"The run {source} has no finished epoch yet: there is no {model}.")
    return model


def _locked(file: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _differences(found: Any, wanted: Any, name: str = "") -> list[str]:
    """Name what differs between two JSON values, down to the entry."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in {**found, **wanted} if key not in FREE_SETTINGS]
        return [
            text
            for key in keys
            for text in _differences(
                found.get(key), wanted.get(key), f"{name}.{key}" if name else key
            )
        ]
    return [] if found == wanted else [f"{name}: {found!r}, now {wanted!r}"]
