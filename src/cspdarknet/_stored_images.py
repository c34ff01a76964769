"""`StoredImage`: the path of an image that is not a file of its own, such as one in a shard."""

import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    _Path = Path
else:
    # Only the class of the present system can be derived from before Python 3.12.
    _Path = type(Path())


class ImageStore(Protocol):
    """A file that holds the bytes of many image files."""

    @property
    def path(self) -> Path:
        """The file."""

    def read(self, index: int) -> bytes:
        """Return the bytes of an image file."""

    def length(self, index: int) -> int:
        """Return the number of bytes of an image file."""

    def image_size(self, index: int) -> tuple[int, int]:
        """Return width and height of an image, upright."""


class StoredImage(_Path):
    """The path of an image in an `ImageStore`, which is opened like that of a file.

    The path is a name only: there is no such file. Paths that are derived from it, such as its
    parent, are ordinary ones.
    """

    _store: ImageStore | None = None
    _index = 0

    @classmethod
    def at(cls, path: Path, store: ImageStore, index: int) -> "StoredImage":
        """Return the path of an image of a store.

        Args:
            path: what it is called.
            store: the store.
            index: index of the image in it.
        """
        image = cls(path)
        image._store, image._index = store, index
        return image

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that the store states; `None` for a derived path."""
        return None if self._store is None else self._store.image_size(self._index)

    @property
    def stamp(self) -> tuple[int, int]:
        """Number of bytes, and time of modification of the store in nanoseconds."""
        length = self.stat().st_size if self._store is None else self._store.length(self._index)
        return length, self.stat().st_mtime_ns

    def read_bytes(self) -> bytes:
        """Return the bytes of the image file."""
        return super().read_bytes() if self._store is None else self._store.read(self._index)

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:  # type: ignore[override]
        """Open the image file for reading in binary mode."""
        if self._store is None or mode != "rb":
            return super().open(mode, *args, **kwargs)
        return io.BytesIO(self.read_bytes())

    def stat(self, **kwargs: Any) -> os.stat_result:
        """Return the status of the store."""
        return super().stat(**kwargs) if self._store is None else self._store.path.stat()

    def is_file(self, **kwargs: Any) -> bool:
        """Whether the image is there: always, without a look at the disk."""
        return self._store is not None or super().is_file(**kwargs)

    def exists(self, **kwargs: Any) -> bool:
        """Whether the image is there, as `is_file`."""
        return self._store is not None or super().exists(**kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the store in copies, and for other processes."""
        if self._store is None:
            return StoredImage, (str(self),)
        return StoredImage.at, (Path(self), self._store, self._index)


def image_stamp(path: Path) -> tuple[int, int]:
    """Return the number of bytes of an image file and its time of modification in nanoseconds.

    Raises:
        OSError: if there is no such file.
        ValueError: for a name that no file can have.
    """
    if isinstance(path, StoredImage):
        return path.stamp
    status = path.stat()
    return status.st_size, status.st_mtime_ns
