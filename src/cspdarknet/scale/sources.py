"""The inputs of a bulk job: image files, and shards (Parquet files and tars) of images."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cspdarknet.images import has_image_suffix, is_left_out, walk
from cspdarknet.scale.storage import file_system, full_path, is_local

PARQUET = ".parquet"
TARS = (".tar", ".tar.gz", ".tgz")
LISTS = (".txt",)
WEB = ("http://", "https://")


class Input(NamedTuple):
    """An image file or a shard.

    Attributes:
        key: its name in the results: the path relative to the source, or as a list names it.
        path: its absolute path or full URL.
    """

    key: str
    path: str


def is_shard(path: str) -> bool:
    """Whether a path names a Parquet file or a tar of images."""
    return path.lower().endswith((PARQUET, *TARS))


def find_inputs(sources: str | Path | Sequence[str | Path]) -> list[Input]:
    """List the inputs in sources, sorted by key, each of them once.

    Args:
        sources: paths or URLs: an image file; a shard, which is a Parquet file or a WebDataset tar;
            a `.txt` file with a path or URL in each line; or a folder of images or shards, whose
            subfolders are searched. Hidden files are left out.

    Raises:
        ValueError: if a source does not exist or holds no image, or two inputs have the same key.

    Example:
        >>> Path("images").mkdir()
        >>> Image.new("RGB", (64, 48), "navy").save("images/sea.png")
        >>> [item.key for item in find_inputs("images")]
        ['sea.png']
    """
    given = [sources] if isinstance(sources, (str, Path)) else sources
    by_key: dict[str, Input] = {}
    for source in given:
        for item in _inputs_of(str(source)):
            other = by_key.setdefault(item.key, item)
            if other.path != item.path:
                raise ValueError(
                    f"{other.path} and {item.path} would have the same key {item.key} in the "
                    "results: write them to two folders."
                )
    return [by_key[key] for key in sorted(by_key)]


def _inputs_of(source: str) -> Iterator[Input]:
    fs, path = file_system(source)
    if source.lower().endswith(LISTS):
        yield from _listed(fs, path, source)
    elif source.startswith(WEB):  # a file, unless one reads and parses the page
        yield _input(source, source)
    elif fs.isdir(path):
        found = list(_in_folder(fs, path))
        if not found:
            raise ValueError(
                f"A folder must hold images, or shards that end in {PARQUET} or "
                f"{', '.join(TARS)}. Received: {source}, which holds none."
            )
        yield from found
    elif fs.exists(path):
        yield _input(path.rsplit("/", 1)[-1], full_path(fs, path))
    else:
        raise ValueError(f"There is no file or folder {source}.")


def _input(key: str, path: str) -> Input:
    """Return an input whose key is valid UTF-8, as not all file names are."""
    return Input(key.encode(errors="backslashreplace").decode(), path)


def _in_folder(fs: Any, folder: str) -> Iterator[Input]:
    for name in walk(folder) if is_local(fs) else _walk_remote(fs, folder):
        if has_image_suffix(name) or is_shard(name):
            yield _input(name, full_path(fs, f"{folder.rstrip('/')}/{name}"))


def _walk_remote(fs: Any, folder: str) -> Iterator[str]:
    """Yield the names of all files below a folder, without hidden ones."""
    start = len(folder.rstrip("/")) + 1
    for path in fs.find(folder):
        name = path[start:]
        if not any(is_left_out(part) for part in PurePosixPath(name).parts):
            yield name


def _listed(fs: Any, path: str, source: str) -> Iterator[Input]:
    """Yield the inputs in a list of paths and URLs; paths are relative to the list."""
    if not fs.isfile(path):
        raise ValueError(f"There is no file {source}.")
    folder = full_path(fs, path).rsplit("/", 1)[0]
    lines = [line for raw in _lines(fs, path) if (line := raw.strip())]
    if not lines:
        raise ValueError(f"A list must have a path or URL in each line. Received: {source}, empty.")
    for line in lines:
        is_absolute = "://" in line or line.startswith("/")
        yield _input(line, line if is_absolute else f"{folder}/{line}")


def _lines(fs: Any, path: str) -> Iterable[str]:
    with fs.open(path, "r", encoding="utf-8", errors="surrogateescape") as file:
        yield from file
