"""Atomic writing of files, and output folders."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from cspdarknet._unfinished import WriteError, temporary_folder

STANDARD_OUTPUT = Path("-")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file in a temporary folder beside `path`, then move it there in one step.

    A reader never sees half a file, an interrupted write leaves the old file as it was, and of two
    processes that write the same file, each writes its own, and the last one stays.

    Args:
        path: path of the finished file.
        write: function that writes the content to the temporary path that it is given, which has
            the same name as `path`.

    Raises:
        WriteError: (an `OSError`) If the disk is full or the folder cannot be written.
    """
    with temporary_folder(path) as folder:
        part = folder / path.name
        write(part)
        part.replace(path)


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a text file in UTF-8, atomically.

    File names that are not UTF-8 are kept byte by byte.

    Args:
        path: the file; `-` is the standard output. Links, devices and pipes are written to, and
            not replaced.
        text: the content, or parts of it in order, which need not be in memory together.

    Raises:
        WriteError: (an `OSError`) If the disk is full or the file cannot be written.
    """
    parts = [text] if isinstance(text, str) else text
    content = (part.encode(errors="surrogateescape") for part in parts)
    if path == STANDARD_OUTPUT:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(content)
        sys.stdout.buffer.flush()
    elif path.is_symlink() or (path.exists() and not path.is_file()):
        try:
            _write_parts(path, content)
        except OSError as error:
            raise WriteError(error, path) from error
    else:
        write_whole(path, lambda part: _write_parts(part, content))


def _write_parts(path: Path, content: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(content)


def ignores_case(folder: Path) -> bool:
    """Whether names in a folder, which may not exist yet, are the same in upper and lower case."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=existing) as probe:
        return Path(probe.name).with_name(Path(probe.name).name.swapcase()).exists()
    return False


def user_cache_folder() -> Path:
    """Return the folder of this package in the user's cache folder.

    Raises:
        RuntimeError: if the user has no home.
    """
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        if os.environ.get(variable):
            return Path(os.environ[variable]) / "cspdarknet"
    return Path.home() / ".cache" / "cspdarknet"


class OutputFolder:
    """A folder of results, whose files are written atomically.

    Args:
        path: the folder. It is created if it is missing.

    Attributes:
        path: the folder, as a `Path`.

    Raises:
        ValueError: if the folder cannot be created or written to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(b"1")
        except OSError as error:
            raise ValueError(
                f"The folder {self.path} cannot be written ({error.strerror}): choose another one."
            ) from error

    def write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        """Write a file and flush it to the disk.

        Args:
            name: file name in this folder.
            write: function that writes the content to the open binary file that it is given.
        """

        def write_through(path: Path) -> None:
            with path.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())

        write_whole(self.path / name, write_through)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file in UTF-8."""
        # File names that are not UTF-8 are kept byte by byte.
        self.write(name, lambda file: file.write(text.encode(errors="surrogateescape")))

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(content, indent=2) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file of this folder.

        Raises:
            ValueError: if the file is missing or damaged.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ValueError(f"The folder {self.path} has no file {name}.") from error
        except ValueError as error:
            raise ValueError(f"{self.path / name} is not a JSON file: {error}") from error
