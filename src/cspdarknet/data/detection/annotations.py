"""What annotation files say of photos, before it is checked."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from cspdarknet.data.classification.dataset import PARTS
from cspdarknet.images import SUFFIXES


@dataclass(frozen=True)
class Problem:
    """Something wrong in a data set: the file, and what it is."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Annotated:
    """One photo as an annotation file describes it, not checked yet.

    Attributes:
        path: the photo.
        boxes: left, top, right, bottom of each box.
        names: class of each box.
        ignored: whether each box is neither trained on nor counted.
        size: width and height that the annotation names, if it does.
        relative: whether boxes are shares of width and height instead of pixels.
    """

    path: Path
    boxes: list[tuple[float, float, float, float]]
    names: list[str]
    ignored: list[bool]
    size: tuple[int, int] | None = None
    relative: bool = False


@dataclass(frozen=True)
class AnnotatedData:
    """A data set as its annotation files describe it.

    Attributes:
        parts: photos of `train`, `validation` and `test`, as far as there are such parts.
        class_names: the declared classes in their order; `None` where files declare none.
        problems: what could not be read; these photos are in no part.
    """

    parts: dict[str, list[Annotated]]
    class_names: tuple[str, ...] | None = None
    problems: list[Problem] = field(default_factory=list)


def part_of(name: str) -> str | None:
    """Tell the part of a data set that a file or folder is named after: `val2017` is validation."""
    words = re.findall("[a-z]+", name.lower())
    return next((part for part, names in PARTS.items() if set(words) & set(names)), None)


def part_folders(folder: Path) -> dict[str, Path]:
    """Find the subfolders that are named after parts of a data set."""
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    found = {part_of(child.name): child for child in reversed(children)}
    return {part: found[part] for part in PARTS if part in found}


def child_folder(folder: Path, *names: str) -> Path | None:
    """Find a subfolder with one of these names, in capitals or not."""
    by_name = {child.name.lower(): child for child in folder.iterdir() if child.is_dir()}
    return next((by_name[name] for name in names if name in by_name), None)


def photos_in(folder: Path) -> list[Path]:
    """List the photos of a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
