"""Images that a dataset names more than once, and splits that are the same."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from cspdarknet.data.annotations import AnyImage
from cspdarknet.data.problems import Problem


def drop_repeated(
    splits: Mapping[str, Sequence[AnyImage]],
) -> tuple[dict[str, list[AnyImage]], list[Problem]]:
    """Keep the first of several annotations of the same image file, over all splits.

    A split of the same images as an earlier one, as in many small examples, is left out.

    Args:
        splits: the images of each split.

    Returns:
        The splits, and the problems.
    """
    owners: dict[str, str] = {}
    real_folder = lru_cache(maxsize=1024)(os.path.realpath)
    kept: dict[str, list[AnyImage]] = {}
    problems = []
    for split, images in splits.items():
        paths = [_real_path(image.path, real_folder) for image in images]
        other = owners.get(paths[0]) if paths else None
        if other and set(paths) == {path for path, owner in owners.items() if owner == other}:
            folder = Path(os.path.commonpath([image.path.parent for image in images]))
            reason = f"the {split} split has the same images as the {other} split, and is left out"
            problems.append(Problem("same split", folder, reason))
            continue
        kept[split] = []
        for image, path in zip(images, paths, strict=True):
            if path not in owners:
                kept[split].append(image)
                owners[path] = split
                continue
            reason = "is annotated more than once"
            if owners[path] != split:
                reason += f": for {owners[path]}, where it is kept, and for {split}"
            problems.append(Problem("repeated image", image.path, reason))
    return kept, problems


def _real_path(path: Path, real_folder: Callable[[str], str]) -> str:
    """Follow links, so that an image and a link to it are the same."""
    text = os.fspath(path)
    folder, name = os.path.split(text)
    try:
        if os.path.islink(text):  # noqa: PTH114  (a Path is slow)
            return os.path.realpath(text)
        return f"{real_folder(folder)}{os.sep}{name}"
    except ValueError:  # a name that no file can have
        return text
