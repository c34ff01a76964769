"""Write files that appear whole or not at all."""

from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, then move it there.

    Args:
        path: where the file is to be.
        write: makes the file at the path that it is given, which has the same suffix.
    """
    part = path.with_name(f".part-{path.name}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
