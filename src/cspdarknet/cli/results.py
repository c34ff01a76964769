"""Files that the commands write results to: what they may replace, and standard output."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from cspdarknet._files import STANDARD_OUTPUT


def message_console(*files: Path | None) -> Console:
    """Return the console for all text: standard error if a file is the standard output."""
    return Console(stderr=STANDARD_OUTPUT in files)


def say(console: Console, text: str) -> None:
    """Print a line that is neither wrapped nor colored by its content."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


class ResultsFile(NamedTuple):
    """A file for results that an option names.

    Attributes:
        option: the option, such as `--json`.
        path: the file; `-` is the standard output, and `None` that the option is not given.
        starts: how a result of an earlier run begins. No other file is replaced.
    """

    option: str
    path: Path | None
    starts: Sequence[str]


def check_results_files(*files: ResultsFile) -> None:
    """Check the files for results, before any work is done.

    Raises:
        ValueError: if a file cannot be written, is named twice, or holds something else.
    """
    by_path: dict[Path, str] = {}
    for option, path, starts in files:
        if path is None:
            continue
        first = by_path.setdefault(path if path == STANDARD_OUTPUT else path.resolve(), option)
        if first != option:
            raise ValueError(
                f"`{first}` and `{option}` must name two files. Received: {path} for both."
            )
        if path != STANDARD_OUTPUT:
            _check_writable(path, starts)


def _check_writable(path: Path, starts: Sequence[str]) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"The folder of {path} does not exist: create {path.parent} first.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file for the results.")
    if not path.is_file():
        return
    with path.open("rb") as file:
        found = file.read(max(map(len, starts))).decode(errors="replace")
    if found and not found.startswith(tuple(starts)):
        raise ValueError(
            f"{path} exists, and is not the result of an earlier run: choose another file, or "
            "delete it first."
        )


def write_results(
    console: Console,
    what: str,
    files: Sequence[tuple[Path | None, Callable[[Path], object]]],
) -> None:
    """Write results to files, and say where.

    Args:
        console: the console for messages.
        what: what is written, such as "Detections".
        files: each file with the function that writes it; `-` is the standard output, and `None`
            no file.
    """
    for path, write in files:
        if path is None:
            continue
        replaced = ", in place of an earlier result" if path.is_file() else ""
        write(path)
        if path != STANDARD_OUTPUT:
            say(console, f"{what} written to {path}{replaced}.")
