"""Paths and folders on all file systems that fsspec reaches: local, `s3://`, `gs://`, `http://`."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from cspdarknet._extras import require
from cspdarknet._files import write_whole
from cspdarknet._unfinished import claim, make_folder

EXTRA, PURPOSE = "ray", "A bulk job"
# Object stores, whose files appear when their upload is complete.
WHOLE_UPLOADS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
LOCK = ".lock"


def file_system(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a path or URL, and the path in it.

    Raises:
        ValueError: if the protocol is unknown.
        ImportError: if fsspec, or the package that it needs for the protocol, is missing.
    """
    core: Any = require("fsspec.core", EXTRA, PURPOSE)
    try:
        # Listings are not cached: another process may write into a folder.
        return core.url_to_fs(url, use_listings_cache=False)  # type: ignore[no-any-return]
    except ValueError as error:
        raise ValueError(
            f"A path or a URL that fsspec knows is needed. Received: {url} ({error})."
        ) from error
    except ImportError as error:
        raise ImportError(f"{url} cannot be read: {error}.") from error


def is_local(fs: Any) -> bool:
    """Whether a file system is that of this machine."""
    return "file" in _protocols(fs)


def full_path(fs: Any, path: str) -> str:
    """Return an absolute path, or the URL, of a path in a file system."""
    return path if is_local(fs) else str(fs.unstrip_protocol(path))


def _protocols(fs: Any) -> set[str]:
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


class ResultFolder:
    """A folder whose files are written whole: a reader sees all of a file or nothing.

    Args:
        url: a path or URL. The folder is created by the first file.

    Attributes:
        url: its absolute path or full URL.

    Example:
        >>> folder = ResultFolder("memory://job")
        >>> folder.write("results/a.txt", lambda path: path.write_text("1"))
        >>> folder.names("results"), folder.read_bytes("results/a.txt")
        ({'a.txt'}, b'1')
    """

    def __init__(self, url: str | Path) -> None:
        self._fs, path = file_system(str(url))
        self._path = path.rstrip("/")
        self.url = full_path(self._fs, self._path)
        self._is_local = is_local(self._fs)

    def _target(self, name: str) -> str:
        return f"{self._path}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is a file."""
        return bool(self._fs.isfile(self._target(name)))

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a subfolder, which may be missing."""
        try:
            paths = self._fs.ls(self._target(folder), detail=False)
        except FileNotFoundError:
            return set()
        return {path.rsplit("/", 1)[-1] for path in paths}

    def open(self, name: str) -> Any:
        """Open a file for reading bytes."""
        return self._fs.open(self._target(name), "rb")

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._fs.cat_file(self._target(name)))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._target(name))

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file aside, then move it to its name in one step.

        Args:
            name: path of the file in this folder.
            write: function that writes the content to the local path that it is given.

        Raises:
            OSError: if it cannot be written.
        """
        target = self._target(name)
        if self._is_local:
            make_folder(Path(target).parent)
            write_whole(Path(target), lambda path: _write_through(path, write))
            return
        with tempfile.TemporaryDirectory() as temporary:
            local = Path(temporary) / "part"
            write(local)
            self._upload(local, target)

    def _upload(self, local: Path, target: str) -> None:
        self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if _protocols(self._fs) & WHOLE_UPLOADS:
            self._fs.put_file(str(local), target)
            return
        unfinished = f"{target}.{secrets.token_hex(8)}"
        self._fs.put_file(str(local), unfinished)
        self._fs.mv(unfinished, target)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other jobs out of a local folder inside this context.

        Raises:
            ValueError: if another process has claimed the folder.
        """
        if not self._is_local:
            yield
            return
        make_folder(Path(self._path))
        with Path(self._target(LOCK)).open("w") as lock:
            if not _is_free(lock):
                raise ValueError(
                    f"Another process writes to {self.url}: wait for it, or choose another folder."
                )
            yield


def _write_through(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file, and flush it to the disk."""
    write(path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _is_free(lock: IO[Any]) -> bool:
    try:
        return claim(lock)
    except OSError:  # a file system without locks
        return True
