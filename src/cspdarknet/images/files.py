"""Listing of image files."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cspdarknet._files import ignores_case

ARRAY_SUFFIX = ".npy"
# Files that are meant as images. Those that Pillow cannot decode, such as `.heic` without a plugin,
# are reported when they are read, instead of being passed over.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".mpo", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    *(".pcx", ".sgi", ".qoi", ".ico", ".dds", ".heic", ".heif", ".jxl", ".dng", ".cr2", ".nef"),
    ARRAY_SUFFIX,
)
# Files and folders that archives and systems leave behind.
IGNORED = ("__macosx", "thumbs.db", "desktop.ini")


def has_image_suffix(path: str | Path) -> bool:
    """Whether a file name ends like that of an image, in upper or lower case."""
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122  (a Path is slow)


def without_cached_arrays(names: Iterable[str]) -> list[str]:
    """Return names of image files without arrays that are beside an image of the same name.

    Such an `.npy` file is a decoded copy, which some training programs keep there.

    Example:
        >>> without_cached_arrays(["a.npy", "b.jpg", "b.npy"])
        ['a.npy', 'b.jpg']
    """
    listed = list(names)
    is_array = [name.lower().endswith(ARRAY_SUFFIX) for name in listed]
    if not any(is_array):
        return listed
    others = {os.path.splitext(n)[0] for n, a in zip(listed, is_array, strict=True) if not a}  # noqa: PTH122
    return [
        name
        for name, array in zip(listed, is_array, strict=True)
        if not array or name[: -len(ARRAY_SUFFIX)] not in others
    ]


def is_left_out(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by an archive or a system."""
    return name.startswith(".") or name.lower() in IGNORED


def walk(root: str | Path) -> Iterator[str]:
    """Yield the names of all files below a folder: their paths relative to it, with slashes.

    Hidden files and folders are left out. Linked folders are followed after all others, each folder
    once, so that a cycle of links ends.

    Raises:
        ValueError: if a folder cannot be read.
    """
    visited: set[tuple[int, int]] = set()
    folders, linked = [(str(root), "")], list[tuple[str, str]]()
    while folders or linked:
        folder, prefix = folders.pop() if folders else linked.pop(0)
        try:
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if is_left_out(entry.name):
                        continue
                    name, kind = prefix + entry.name, _kind_of(entry)
                    if kind == "file":
                        yield name
                    elif kind == "folder":
                        (linked if entry.is_symlink() else folders).append((entry.path, name + "/"))
        except OSError as error:
            raise ValueError(f"{folder} cannot be read: {error.strerror}.") from error


def _kind_of(entry: os.DirEntry[str]) -> str:
    """Return `"folder"`, `"file"` (links to nothing, too), or `"other"`: pipes and devices."""
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() or not Path(entry.path).exists() else "other"
    except OSError:  # a link to itself
        return "file"


@dataclass(frozen=True)
class ImageFile:
    """An image file, and its path below the source that it was found in.

    Attributes:
        path: the file.
        key: the path relative to the source. Results are named after it.
    """

    path: Path
    key: Path


def find_images(
    sources: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    results_marker: str | None = None,
) -> list[ImageFile]:
    """List the image files among files and folders, in order; subfolders are searched.

    Hidden files and folders are left out, and linked folders are followed.

    Args:
        sources: files and folders, or one of them.
        out: output folder of the results, which must not be written among the images.
        results_marker: name of a file that marks `out` as results of an earlier run. Where it is
            present, images in `out` are left out.

    Raises:
        ValueError: if a source does not exist or holds no image, two images would have the same
            results, or `out` holds images.
    """
    is_marked = out is not None and results_marker and (Path(out) / results_marker).exists()
    results = Path(out).resolve() if out is not None and is_marked else None
    files: list[ImageFile] = []
    for source in map(Path, [sources] if isinstance(sources, (str, Path)) else sources):
        if source.is_dir():
            paths = sorted(source / name for name in walk(source))
            images = [str(path) for path in paths if _is_image(path, results)]
            inside = [Path(name) for name in without_cached_arrays(images)]
            if not inside:
                raise ValueError(
                    f"A folder of images must hold files of {', '.join(SUFFIXES)}. "
                    f"Received: {source}, which holds no image."
                )
            files += [ImageFile(path, path.relative_to(source)) for path in inside]
        elif source.is_file():
            files.append(ImageFile(source, Path(source.name)))
        else:
            raise ValueError(f"There is no file or folder {source}.")
    if out is not None and any(file.path.resolve().parent == Path(out).resolve() for file in files):
        raise ValueError(f"{out} holds images: choose another folder for the results.")
    return _unique(files, out)


def _is_image(path: Path, results: Path | None) -> bool:
    if not has_image_suffix(path) or not path.is_file():
        return False
    return results is None or not path.resolve().is_relative_to(results)


def _unique(files: list[ImageFile], out: str | Path | None) -> list[ImageFile]:
    """Drop files that are listed twice; refuse two that would have the same results."""
    names = {str(file.key) for file in files}
    may_clash = out is not None and len({name.casefold() for name in names}) < len(names)
    fold = str.casefold if may_clash and ignores_case(Path(str(out))) else str
    by_name: dict[str, ImageFile] = {}
    for file in files:
        other = by_name.setdefault(fold(str(file.key)), file)
        if other is not file and other.path.resolve() != file.path.resolve():
            raise ValueError(
                f"{other.path} and {file.path} would write the same result {file.key}: "
                "run them into two output folders."
            )
    return list(by_name.values())
