"""Writing of a folder as a whole: it is complete, or it is not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cspdarknet._unfinished import temporary_folder


def check_destination(destination: str | Path, source: Any) -> Path:
    """Check that a new dataset can be written to a folder, before any work is done.

    Args:
        destination: the folder.
        source: the dataset that it is made from.

    Returns:
        The folder, links followed.

    Raises:
        ValueError: if it is a file, is not empty, or is inside the source.
    """
    path = Path(os.path.realpath(destination))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"The destination must be a new or an empty folder. Received: {destination}, which "
            f"{'is not empty' if path.is_dir() else 'is a file'}."
        )
    is_folder = isinstance(source, (str, Path)) and Path(source).is_dir()
    if is_folder and path.is_relative_to(os.path.realpath(source)):
        raise ValueError(
            f"The destination must not be inside the source. Received: {destination} in {source}."
        )
    return path


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path`, which is renamed to it if no error occurs.

    Args:
        path: the finished folder, missing or empty.

    Raises:
        ValueError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path) as folder:
            written = folder / "dataset"
            written.mkdir()
            yield written
            if path.is_dir():
                path.rmdir()
            written.rename(path)
    except OSError as error:
        what = error.strerror or str(error)
        raise ValueError(f"The dataset {path} cannot be written: {what}.") from error
