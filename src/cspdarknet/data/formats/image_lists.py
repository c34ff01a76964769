"""Text files that list images or classes, and the paths of these files and of folders."""

import os
from pathlib import Path

from cspdarknet.data.files import DatasetFiles, is_file, normalized, read_text
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import split_name

MAX_CLASS_BYTES = 1_000_000


def resolve(files: DatasetFiles, entry: str, roots: list[Path]) -> tuple[Path, bool]:
    """Return the path of a folder or list, and whether it is that of another machine.

    `../train` often means `train` beside the file that names it. A path that does not exist is
    looked up by its last parts.

    Args:
        files: the files of the dataset.
        entry: the path, as a file names it.
        roots: the folders that it may be relative to.
    """
    text = entry.replace("\\", "/")
    names = (text, text.removeprefix("../"))
    candidates = [Path(os.path.normpath(root / name)) for root in roots for name in names]
    for path in candidates:
        if path.exists():
            return path, False
    parts = [part for part in normalized(entry).split("/") if part not in ("", "..")]
    for i in range(len(parts)):
        tail = parts[i:]
        # One part alone says little, such as `images`.
        says_enough = len(tail) > 1 or split_name(tail[0]) or parts[i - 1 : i] == [files.root.name]
        for root in (files.root, *roots):
            path = root.joinpath(*tail)
            if says_enough and path.exists():
                return path, True
    return candidates[0], False


def listed_images(
    files: DatasetFiles, source: Path, split: str
) -> tuple[list[Path], list[Problem]]:
    """Find the images that the lines of a text file name.

    Args:
        files: the files of the dataset.
        source: the text file.
        split: the split that it lists.

    Raises:
        ValueError: if it is not a text file.
    """
    lines = [line.strip() for line in read_text(source).splitlines() if line.strip()]
    near = source.parent
    if near.is_relative_to(files.root):
        inside = near.relative_to(files.root).as_posix()
        paths = files.locate(lines, "" if inside == "." else inside, split)
    else:
        beside = [near / line.replace("\\", "/") for line in lines]
        elsewhere = files.locate(lines, "", split)
        paths = [a if is_file(a) else b for a, b in zip(beside, elsewhere, strict=True)]
    problems = [
        Problem("ambiguous image", source, f"several images have the name {line}", f"line {i}")
        for i, (line, path) in enumerate(zip(lines, paths, strict=True), 1)
        if path is None
    ]
    return [path for path in paths if path is not None], problems


def listed_classes(path: Path) -> dict[int, str]:
    """Read the names of classes, one in each line, by their ids, which count the lines from 0.

    Args:
        path: the text file.

    Raises:
        ValueError: if it is not a text file, larger than 1 MB, or has an empty line between names.
    """
    if path.is_file() and path.stat().st_size > MAX_CLASS_BYTES:
        raise ValueError(f"{path} is larger than {MAX_CLASS_BYTES:,} bytes.")
    names = [line.strip() for line in read_text(path).rstrip().splitlines()]
    if "" in names:
        raise ValueError(f"{path}, line {names.index('') + 1}, must name a class. It is empty.")
    return dict(enumerate(names))
