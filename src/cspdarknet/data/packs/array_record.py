"""Shards in ArrayRecord, the random-access format of Grain: a record for each image file."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from cspdarknet._extras import require

MODULE = "array_record.python.array_record_module"
# Grain needs groups of one record. Image files are compressed already.
WRITER_OPTIONS = "group_size:1,uncompressed"
READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
READER_BYTES = 32_768
OPEN_READERS = 128  # each has an open file


def load_library(purpose: str) -> Any:
    """Import the library.

    Raises:
        ImportError: if it is not installed.
    """
    return require(MODULE, "train", purpose)


def write_records(path: Path, contents: Iterable[bytes]) -> None:
    """Write a shard.

    Args:
        path: the file.
        contents: the bytes of each image file.

    Raises:
        OSError: if it cannot be written.
    """
    library = load_library("Packing into ArrayRecord")
    try:
        writer = library.ArrayRecordWriter(str(path), WRITER_OPTIONS)
        for content in contents:
            writer.write(content)
        writer.close()
    except RuntimeError as error:  # of a full disk, too
        reason = _line(error).split(";")[0]
        raise OSError(
            f"{path.name} cannot be written ({reason}): free some space, or write to another disk."
        ) from error


def read_record(path: Path, key: str, count: int, index: int) -> bytes:
    """Return a record. The reader is kept open, and shared by all threads.

    Args:
        path: the file.
        key: its checksum, which tells it from an earlier file of the same name.
        count: number of records that it must have.
        index: index of the record.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        content: bytes = _reader(str(path), key, count).read([index])[0]
    except RuntimeError as error:
        raise ValueError(f"the shard {path} is damaged: {_line(error)}") from error
    return content


@lru_cache(maxsize=OPEN_READERS)
def _reader(path: str, key: str, count: int) -> Any:  # noqa: ARG001  (part of what is cached by)
    library = load_library("Reading a dataset in ArrayRecord")
    reader = library.ArrayRecordReader(
        path, options=READER_OPTIONS, file_reader_buffer_size=READER_BYTES
    )
    if reader.num_records() != count:
        raise RuntimeError(f"it has {reader.num_records()} records in place of {count}")
    return reader


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
