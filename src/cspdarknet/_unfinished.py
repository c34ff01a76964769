"""Temporary folders of unfinished files, which the next run removes if a process was killed."""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PART, LOCK = ".cspdarknet-", ".lock"  # how their names begin, and the locked file in each
DAY = 86_400.0  # seconds, after which a folder without a lock is taken for abandoned
PROBE_BYTES = 1 << 16
REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EFBIG: "allow larger files (`ulimit -f`), or write to another disk",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that can be written",
    errno.ENOENT: "create its folder first",
}
FULL_OR_READ_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_searched: set[Path] = set()  # folders whose leftovers this process has removed


class WriteError(OSError):
    """A file that cannot be written; the message is one line with the file, cause and remedy."""

    def __init__(self, error: OSError, path: Path) -> None:
        super().__init__(error.errno, error.strerror, str(path))

    def __str__(self) -> str:
        remedy = REMEDIES.get(self.errno or 0, "choose another path")
        return f"{self.filename} cannot be written ({self.strerror}): {remedy}."


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, to write that file or folder into before it is moved.

    It is locked as long as this process lives. Folders beside it that are not are removed before.

    Args:
        path: the file or folder to write, which errors name.

    Raises:
        WriteError: if the disk is full or read-only, whatever the writer raises then.
    """
    if path.parent not in _searched:
        _searched.add(path.parent)
        remove_leftovers(path.parent)
    try:
        folder, lock = _locked_folder(path.parent)
    except OSError as error:
        raise WriteError(error, path) from error
    try:
        with lock:
            yield folder
    except WriteError:
        raise
    except Exception as error:
        cause = _disk_error(error, folder)
        if cause is None:
            raise
        raise WriteError(cause, path) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        WriteError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(error, path) from error


def _locked_folder(parent: Path) -> tuple[Path, IO[Any]]:
    """Return a new folder, and the open lock file in it."""
    while True:
        folder = parent / f"{PART}{secrets.token_hex(8)}"
        folder.mkdir()
        try:
            lock = (folder / LOCK).open("w")
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            # Another process may have taken it for abandoned before it was locked.
            if claim(lock) and os.stat(lock.fileno()).st_nlink:  # noqa: PTH116
                return folder, lock
        except OSError:  # a file system without locks
            return folder, lock
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _disk_error(error: Exception, folder: Path) -> OSError | None:
    """Return the error of a full or read-only disk behind an error of any library, if it is one."""
    if isinstance(error, OSError) and error.errno is not None:
        return error if error.errno in FULL_OR_READ_ONLY else None
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as cause:
        return cause
    return None


def claim(file: IO[Any]) -> bool:
    """Lock an open file until it is closed, or the process ends.

    Returns:
        Whether no other process has locked it; always `True` on Windows.

    Raises:
        OSError: if the file system has no locks.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders in a folder whose processes were killed."""
    for part in folder.glob(f"{PART}*"):
        with contextlib.suppress(OSError):
            if _is_abandoned(part):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def _is_abandoned(part: Path) -> bool:
    if fcntl is not None and (part / LOCK).exists():
        with (part / LOCK).open("r+") as lock:
            return claim(lock)
    return time.time() - os.stat(part).st_mtime > DAY  # noqa: PTH116
