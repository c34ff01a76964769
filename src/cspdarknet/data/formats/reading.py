"""Shared code of the format readers: choice of a reader, folders of splits, image files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cspdarknet.data.annotations import Annotations, AnyImage
from cspdarknet.data.splits import SPLIT_NAMES, split_name
from cspdarknet.images import has_image_suffix

# A reader takes the path of a dataset, and returns `None` if it is not in the reader's format.
Reader = Callable[[Path], Annotations[AnyImage] | None]


def read_annotations(
    path: Path, readers: Sequence[Reader[AnyImage]], expected: str
) -> Annotations[AnyImage]:
    """Read a dataset with the first reader that knows its format.

    Args:
        path: the folder or file.
        readers: the readers, in the order in which they are tried.
        expected: what the path should be, as the end of the error message.

    Raises:
        ValueError: if the path does not exist or no reader knows its format.
    """
    if not path.exists():
        raise ValueError(f"There is no folder or file {path}.")
    for read in readers:
        if (annotations := read(path)) is not None:
            return annotations
    raise ValueError(f"{path} is not {expected}")


def split_folders(folder: Path, *, exact: bool = False) -> dict[str, Path]:
    """Return the subfolders that are named after splits, by split; `exact` as in `split_name`."""
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    found = {split_name(child.name, exact=exact): child for child in reversed(children)}
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def child_folder(folder: Path, *names: str) -> Path | None:
    """Return the subfolder with the first of these names that exists, in upper or lower case."""
    by_name = {child.name.lower(): child for child in folder.iterdir() if child.is_dir()}
    return next((by_name[name] for name in names if name in by_name), None)


def images_in(folder: Path, *, recursive: bool = False) -> list[Path]:
    """List the image files of a folder, sorted; hidden files and folders are left out."""
    paths = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        path
        for path in paths
        if has_image_suffix(path)
        and not any(name.startswith(".") for name in path.relative_to(folder).parts)
        # A broken link is listed, so that it is reported instead of lost.
        and not path.is_dir()
    )


def as_name(value: Any) -> str:
    """Return a name from a file as text, if it is text or a number.

    Raises:
        ValueError: if it is something else: nested aliases of YAML would fill the memory as text,
            and words such as `yes` and `no`, which YAML reads as booleans, would be changed.
    """
    if type(value) not in (str, int, float):
        raise ValueError(f"names must be text (in quotes). Received: {type(value).__name__}")
    return str(value)
