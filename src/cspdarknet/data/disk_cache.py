"""`DiskCache`: decoded images on disk, so that later epochs and trainings decode nothing."""

import contextlib
import hashlib
import os
import shutil
import struct
import threading
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL

from cspdarknet._files import OutputFolder, user_cache_folder
from cspdarknet._stored_images import image_stamp
from cspdarknet._unfinished import temporary_folder

# Raised with every change of how images are decoded or kept.
VERSION = 1
FOLDER, SUFFIX = "decoded-images", ".rgb"
# In front of the pixels: height, width, factor of resizing, and the checksum of the pixels.
HEADER = struct.Struct("<IIdI")
RGB = 3  # channels
# Images of 8 bits, and of more, by the number of bytes of a value.
DTYPES = {1: "uint8", 4: "float32"}
# Fraction of the disk that stays free.
RESERVE = 0.05

# An image and the factor by which it was resized.
Resized = tuple[np.ndarray, float]


class DiskCache:
    """Decoded images in a folder, as many as the disk has room for.

    An image is found by the path, size and time of modification of its file, and by what was asked
    of the decoder; the result is the same with and without the cache. A damaged file is written
    again. Any number of threads and processes may use a folder, and it may be removed at any time.

    Args:
        folder: the folder.
        reserve: fraction of the disk that stays free.

    Raises:
        ValueError: if the folder cannot be written.

    Example:
        >>> Image.new("RGB", (80, 60), "navy").save("sea.png")
        >>> cache = DiskCache("decoded")
        >>> sea = Path("sea.png")
        >>> pixels, ratio = cache.get(sea, "", lambda: (np.asarray(Image.open(sea)), 1.0))
        >>> pixels.shape, clear_disk_cache("decoded")
        ((60, 80, 3), (1, 14420))
    """

    def __init__(self, folder: str | Path, reserve: float = RESERVE) -> None:
        self.folder = OutputFolder(folder).path
        self._reserve = reserve * shutil.disk_usage(self.folder).total
        self._is_full = False
        self._parts: Path | None = None
        self._lock = threading.Lock()
        self._closing = contextlib.ExitStack()
        weakref.finalize(self, self._closing.close)

    def get(
        self, path: Path, settings: str, read: Callable[[], Resized], channels: int = RGB
    ) -> Resized:
        """Return the result of `read()`, from the disk where possible.

        Args:
            path: the image file.
            settings: what `read` asks of the decoder.
            read: decodes the file.
            channels: number of channels of the image.
        """
        if channels != RGB:
            settings = f"{settings} with {channels} channels"
        try:
            file = self._file(path, settings)
        except (OSError, ValueError):  # the decoder says what is wrong
            return read()
        found = _read(file, channels)
        if found is None:
            found = read()
            if not self._is_full:
                self._write(file, *found)
        return found

    def _file(self, path: Path, settings: str) -> Path:
        location = os.path.abspath(path)  # noqa: PTH100  (links are not followed)
        fields = (VERSION, PIL.__version__, settings, location, *image_stamp(path))
        key = "\0".join(map(str, fields)).encode(errors="surrogateescape")
        name = hashlib.sha256(key).hexdigest()
        return self.folder / name[:2] / (name[2:] + SUFFIX)

    def _write(self, file: Path, pixels: np.ndarray, ratio: float) -> None:
        """Write an image whole, unless the disk is full."""
        try:
            if shutil.disk_usage(self.folder).free - pixels.nbytes < self._reserve:
                self._is_full = True
                return
            content = np.ascontiguousarray(pixels).tobytes()
            header = HEADER.pack(*pixels.shape[:2], ratio, zlib.crc32(content))
            part = self._parts_folder() / f"{file.stem}-{threading.get_ident()}"
            part.write_bytes(header + content)
            file.parent.mkdir(exist_ok=True)
            part.replace(file)
        except OSError:
            self._is_full = True

    def _parts_folder(self) -> Path:
        """Return the folder of unfinished files, which is removed with this cache."""
        with self._lock:
            if self._parts is None:
                self._parts = self._closing.enter_context(temporary_folder(self.folder / FOLDER))
            return self._parts


def disk_cache_folder(folder: str | Path = "disk") -> Path:
    """Return a folder of decoded images; `"disk"` is the one in the user's cache folder."""
    return user_cache_folder() / FOLDER if folder == "disk" else Path(folder)


def clear_disk_cache(folder: str | Path = "disk") -> tuple[int, int]:
    """Remove all decoded images from a folder; other files are left.

    Args:
        folder: the folder; `"disk"` for the one in the user's cache folder.

    Returns:
        Number of removed files, and of their bytes.
    """
    root = disk_cache_folder(folder)
    count = size = 0
    for file in root.glob(f"[0-9a-f][0-9a-f]/*{SUFFIX}"):
        with contextlib.suppress(OSError):
            length = file.stat().st_size
            file.unlink()
            count, size = count + 1, size + length
    for inside in root.glob("[0-9a-f][0-9a-f]"):
        with contextlib.suppress(OSError):  # it holds other files
            inside.rmdir()
    return count, size


def _read(file: Path, channels: int) -> Resized | None:
    """Return the image in a file; `None` if there is none, or it is damaged."""
    try:
        with file.open("rb") as opened:
            content = opened.read()
        height, width, ratio, checksum = HEADER.unpack_from(content)
    except (OSError, struct.error):
        return None
    pixels = memoryview(content)[HEADER.size :]
    dtype = DTYPES.get(len(pixels) / max(1, height * width * channels))
    if dtype is None or zlib.crc32(pixels) != checksum:
        return None
    return np.frombuffer(pixels, dtype).reshape(height, width, channels), ratio
