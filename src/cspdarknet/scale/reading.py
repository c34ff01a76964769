"""Reading of the images of a bulk job: image files, Parquet files and WebDataset tars."""

import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

from cspdarknet._extras import require
from cspdarknet._prefetch import prefetch_map, thread_pool
from cspdarknet.images import ImageError, has_image_suffix, is_left_out
from cspdarknet.scale.sources import PARQUET, Input, is_shard
from cspdarknet.scale.storage import EXTRA, PURPOSE, file_system, is_local

READERS = 16  # threads that wait for answers of a remote file system
PREFETCH = 32  # images that are read before they are asked for
ROWS_AT_ONCE = 32
MAX_FILE_BYTES = 2**30  # of an image in a tar, which may state any size
MAX_REASON = 200  # characters of an error of a file system
IMAGE_COLUMNS = ("image", "bytes", "image_bytes", "img", "jpg", "jpeg", "png", "webp", "content")
KEY_COLUMNS = ("key", "__key__", "path", "file_name", "filename", "url", "uri", "id")
Item = TypeVar("Item")


class NamedImage(NamedTuple):
    """An image of a job.

    Attributes:
        key: its name in the results.
        image: a local path, the bytes of an image file, or the error that it cannot be read with.
    """

    key: str
    image: str | bytes | ImageError


class Columns(NamedTuple):
    """Names of the columns of Parquet files; `None` for usual ones.

    Attributes:
        image: column of the bytes of image files.
        key: column of the names of the images.
    """

    image: str | None = None
    key: str | None = None


USUAL = Columns()


def read_images(inputs: Sequence[Input], columns: Columns = USUAL) -> Iterator[NamedImage]:
    """Yield the images of a part of a job, in order; they are read in threads.

    Args:
        inputs: image files, or a shard.
        columns: the columns of Parquet files.

    Returns:
        An iterator. An image or a shard that cannot be read has an `ImageError`.

    Raises:
        ValueError: if a Parquet file does not have the columns.
        ImportError: if a package for a file system is missing.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> [item.key for item in read_images([Input("sea.png", "sea.png"), Input("no.png", "no")])]
        ['sea.png', 'no.png']
    """
    if len(inputs) == 1 and is_shard(inputs[0].path):
        is_parquet = inputs[0].path.lower().endswith(PARQUET)
        rows = _parquet_rows(inputs[0], columns) if is_parquet else _tar_members(inputs[0])
        yield from _read_ahead(rows)
        return
    with thread_pool(READERS) as readers:
        yield from prefetch_map(_read_file, inputs, readers, PREFETCH)


def _read_file(item: Input) -> NamedImage:
    fs, path = file_system(item.path)
    if is_local(fs):
        return NamedImage(item.key, path)
    try:
        return NamedImage(item.key, fs.cat_file(path))
    except Exception as error:  # of the clients of all kinds of storage
        return NamedImage(item.key, _unreadable(item.path, error))


def _unreadable(name: str, error: Exception) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{name}: no such file.")
    reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
    return ImageError(f"{name}: cannot be read ({reason}).")


def _read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items that a thread reads before they are asked for."""
    iterator, end = iter(items), object()
    with thread_pool(1) as pool:
        ahead = prefetch_map(lambda _: next(iterator, end), repeat(None), pool, PREFETCH)
        for item in ahead:
            if item is end:
                return
            yield item  # type: ignore[misc]


def _tar_members(shard: Input) -> Iterator[NamedImage]:
    """Yield the image files in a tar."""
    fs, path = file_system(shard.path)
    try:
        with fs.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for member in tar:
                is_hidden = any(map(is_left_out, member.name.removeprefix("./").split("/")))
                if member.isfile() and has_image_suffix(member.name) and not is_hidden:
                    yield _member(shard, tar, member)
        # A tar that ends within a header ends without an error.
        if path.lower().endswith(".tar") and (fs.size(path) or 0) % tarfile.BLOCKSIZE:
            raise tarfile.ReadError("unexpected end of data")
    except Exception as error:
        yield NamedImage(shard.key, _unreadable(shard.path, error))


def _member(shard: Input, tar: tarfile.TarFile, member: tarfile.TarInfo) -> NamedImage:
    name = member.name.encode(errors="backslashreplace").decode()
    key = f"{shard.key}/{name}"
    if member.size > MAX_FILE_BYTES:
        return NamedImage(key, ImageError(f"{key}: {member.size} bytes, which is too large."))
    file = tar.extractfile(member)
    assert file is not None
    return NamedImage(key, file.read())


def _parquet_rows(shard: Input, columns: Columns) -> Iterator[NamedImage]:
    """Yield the images in the rows of a Parquet file."""
    parquet: Any = require("pyarrow.parquet", EXTRA, PURPOSE)
    fs, path = file_system(shard.path)
    try:
        with fs.open(path, "rb") as opened:
            file = parquet.ParquetFile(opened)
            image, key = _find_columns(file.schema_arrow, columns, shard.path)
            row = 0
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=[c for c in (image, key) if c]):
                for values in batch.to_pylist():
                    name = None if key is None else values[key]
                    yield _row(f"{shard.key}/{row}", name, values[image])
                    row += 1
    except ColumnError:
        raise
    except Exception as error:
        yield NamedImage(shard.key, _unreadable(shard.path, error))


def _row(numbered: str, name: Any, value: Any) -> NamedImage:
    key = numbered if name is None else str(name)
    if isinstance(value, dict):  # Hugging Face's form
        value = value.get("bytes")
    if not isinstance(value, bytes):
        return NamedImage(key, ImageError(f"{key}: no bytes of an image file."))
    return NamedImage(key, value)


class ColumnError(ValueError):
    """A Parquet file without the columns of images and keys."""


def _find_columns(schema: Any, columns: Columns, path: str) -> tuple[str, str | None]:
    """Return the columns of images and of keys, the latter if there is one."""
    names = {name.lower(): name for name in reversed(schema.names)}
    image = columns.image or next((names[n] for n in IMAGE_COLUMNS if n in names), "")
    key = columns.key or next((names[n] for n in KEY_COLUMNS if n in names), None)
    if image not in schema.names or (key is not None and key not in schema.names):
        raise ColumnError(
            f"A Parquet file must have a column of the bytes of image files, such as "
            f"{', '.join(IMAGE_COLUMNS[:3])}. Received: {path} with the columns "
            f"{', '.join(schema.names)}: name them by `image_column` and `key_column` of `BulkJob`."
        )
    return image, key
