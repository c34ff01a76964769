"""Zip archives whose claims are checked before any member is read."""

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Self

import numpy as np

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError, damage_reported

LOCAL_HEADER = b"PK\x03\x04"
LOCAL_HEADER_BYTES = 30
ENCRYPTED = 1  # bit of a member's flags


class ZipFile:
    """An open zip archive; close it, or use it in a `with` statement.

    Args:
        path: the file.

    Attributes:
        path: the file.
        members: size in bytes of each member by its name.

    Raises:
        CheckpointError: if the file is not a zip archive, is damaged, or claims to hold more than
            a weight file can.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = _Directory(path)
        try:
            with damage_reported(path, "zip archive"):
                self._zip = zipfile.ZipFile(self._stream)
                self._stream.is_open = True
                self._infos = {info.filename: info for info in self._zip.infolist()}
            self.members = {name: info.file_size for name, info in self._infos.items()}
            self._check()
        except BaseException:
            self._stream.close()
            raise

    def _check(self) -> None:
        infos = self._zip.infolist()
        size = os.fstat(self._stream.fileno()).st_size
        claimed = sum(info.file_size for info in infos)
        if claimed > min(limits.MAX_WEIGHT_BYTES, limits.max_content_bytes(size)):
            raise CheckpointError(
                f"{self.path} has {size} bytes and claims to hold {claimed}: refused."
            )
        if sum(info.compress_size for info in infos) > size or any(
            info.flag_bits & ENCRYPTED for info in infos
        ):
            raise CheckpointError(f"{self.path} is a damaged or encrypted zip archive.")
        if len(infos) != len(self._infos):
            raise CheckpointError(f"{self.path} has two members of the same name: refused.")

    @property
    def is_compressed(self) -> bool:
        """Whether a member is compressed."""
        return any(info.compress_type != zipfile.ZIP_STORED for info in self._infos.values())

    def read(self, name: str, limit: int = limits.MAX_WEIGHT_BYTES) -> bytes:
        """Return the content of a member.

        Args:
            name: name of the member.
            limit: largest size in bytes.

        Raises:
            CheckpointError: if the member is missing, damaged or larger than the limit.
        """
        if self.members.get(name, 0) > limit:
            raise CheckpointError(
                f"{self.path} claims to hold too large a {name}: {self.members[name]} bytes."
            )
        with damage_reported(self.path, "whole zip archive"):
            return self._zip.read(self._infos[name])

    def read_array(self, name: str) -> np.ndarray:
        """Return the bytes of an uncompressed member, read once into a writable array.

        Raises:
            CheckpointError: if the member is damaged.
        """
        info = self._infos[name]
        self._stream.seek(info.header_offset)
        header = self._stream.read(LOCAL_HEADER_BYTES)
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:], "little")
        data = np.empty(info.file_size, np.uint8)
        self._stream.seek(lengths, os.SEEK_CUR)
        count = self._stream.readinto(data.data)
        if (
            header[:4] != LOCAL_HEADER
            or info.compress_type != zipfile.ZIP_STORED
            or count != info.file_size
            or zlib.crc32(data.data) != info.CRC
        ):
            raise CheckpointError(f"{self.path} is damaged: the CRC-32 of {name!r} is another one.")
        return data

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Directory(io.BufferedReader):
    """A file from which few bytes can be read until its zip directory has been parsed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb", buffering=0))
        self.is_open = False
        self._read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self.is_open:
            return super().read(size)
        left = limits.MAX_ZIP_DIRECTORY_BYTES - self._read
        data = super().read(left + 1 if size is None or size < 0 else min(size, left + 1))
        self._read += len(data)
        if len(data) > left:
            raise CheckpointError("its zip directory is too large: refused.")
        return data
