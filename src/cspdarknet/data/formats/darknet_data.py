"""Darknet's `.data` files, which name the classes and the lists of images."""

import posixpath
from pathlib import Path

from cspdarknet.data.files import DatasetFiles, normalized
from cspdarknet.data.formats.image_lists import listed_classes, listed_images
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import split_name

MAX_BYTES = 100_000
# The images of each split.
Images = dict[str, list[Path]]


def data_file(files: DatasetFiles) -> str | None:
    """Return the `.data` file of a dataset, if it has one.

    It is `obj.data`, or another whose lists exist: Darknet's own folder has some whose do not.
    """
    found = [name for name in files.with_suffix(".data") if _is_data_file(_options(files, name))]
    usual = [name for name in found if posixpath.basename(name).lower() == "obj.data"]
    if files.file is None and not usual:
        usual = [name for name in found if _has_lists(files, name)]
    return min(usual or found if files.file else usual, key=_depth, default=None)


def _depth(name: str) -> tuple[int, str]:
    return name.count("/"), name


def _is_data_file(options: dict[str, str]) -> bool:
    # Those of classification have `labels`.
    return "names" in options and bool(_lists(options)) and "labels" not in options


def _options(files: DatasetFiles, name: str) -> dict[str, str]:
    """Return the values in lines such as `train = data/train.txt`."""
    try:
        if files.path(name).stat().st_size > MAX_BYTES:
            return {}
        lines = files.text(name).splitlines()
    except (ValueError, OSError):
        return {}
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs if value.strip()}


def _lists(options: dict[str, str]) -> dict[str, str]:
    """Return the list of each split."""
    pairs = ((split_name(key, exact=True), value) for key, value in options.items())
    return {split: value for split, value in pairs if split}


def _has_lists(files: DatasetFiles, name: str) -> bool:
    lists = _lists(_options(files, name)).values()
    return any(_find(files, name, value)[0] is not None for value in lists)


def _find(files: DatasetFiles, name: str, value: str) -> tuple[Path | None, bool]:
    """Return a file that a `.data` file names, and whether its path is that of another machine.

    It is looked up by the last parts of its path, and only inside the folder of the dataset.
    """
    parts = [part for part in normalized(value).split("/") if part not in ("", "..")]
    for i in range(len(parts)):
        for folder in ("", posixpath.dirname(name)):
            if found := files.get(posixpath.join(folder, *parts[i:])):
                path = files.path(found)
                return path, i > 0 and path != Path(value)
    return None, False


def read_data_file(
    files: DatasetFiles, name: str, problems: list[Problem]
) -> tuple[dict[int, str], Images, list[Path]]:
    """Read a `.data` file and its lists.

    Args:
        files: the files of the dataset.
        name: the `.data` file.
        problems: the problems so far, to which more are added.

    Returns:
        The classes by their ids, the images of each split, and the files that were read.

    Raises:
        ValueError: if a list or the names of the classes cannot be read.
    """
    options, path = _options(files, name), files.path(name)
    found: dict[str, Path] = {}
    for key, value in {**_lists(options), "names": options["names"]}.items():
        file, is_moved = _find(files, name, value)
        if file is not None:
            found[key] = file
        elif key != "test":  # some exporters name a test split whether there is one or not
            raise ValueError(f"{path} names a file {value[:200]}, which is not in {files.root}.")
        if file is not None and is_moved:
            reason = f"`{value}` is read as {file}"
            problems.append(Problem("moved path", path, reason, key))
    class_file = found.pop("names")
    splits: Images = {}
    for split, file in found.items():
        splits[split], ambiguous = listed_images(files, file, split)
        problems += ambiguous
    return listed_classes(class_file), splits, [path, class_file, *found.values()]
