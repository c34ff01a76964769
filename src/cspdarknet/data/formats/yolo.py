"""YOLO: a `data.yaml` or the folders `images` and `labels`, with a text file for each image."""

import math
import posixpath
from pathlib import Path
from typing import Any, NamedTuple

from cspdarknet._extras import require
from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles, as_name, read_text
from cspdarknet.data.formats.format import (
    CONVENTION,
    DECLARED,
    FOLDERS,
    NAMED,
    UNLIKELY,
    Format,
    Match,
)
from cspdarknet.data.formats.image_lists import listed_classes, listed_images, resolve
from cspdarknet.data.formats.merging import split_of
from cspdarknet.data.formats.yolo_labels import LabelFiles, read_labels
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import split_name
from cspdarknet.images import has_image_suffix

YAML_SUFFIXES = (".yaml", ".yml")
# Files of classes; each group is looked for where there is none of those before. LabelImg reads the
# last, and writes the first.
CLASS_FILES = (
    ("classes.txt", "_classes.txt", "obj.names"),
    ("labels.txt",),
    ("predefined_classes.txt",),
)
# No configuration and no list of classes is larger.
MAX_BYTES = 1_000_000
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


class _Config(NamedTuple):
    """What a YAML file or the names of files and folders tell.

    Attributes:
        sources: the folders and lists of images of each split, or the images.
        names: the names of the classes by id.
        keypoints: number of values that follow each box for its key points.
        problems: what was mended.
    """

    sources: dict[str, list[Path]]
    names: dict[int, str]
    keypoints: int = 0
    problems: tuple[Problem, ...] = ()


def match(files: DatasetFiles) -> Match | None:
    """Match a YAML file with names of classes, or label files."""
    config = _config_file(files)
    if files.file is not None:
        return Match(NAMED, "a YAML file") if config else None
    if config:
        keys = _keys(files.path(config))
        has_splits = bool({b"train", b"val", b"valid", b"test"} & keys)
        if b"names" in keys and has_splits:
            return Match(DECLARED, f"{config} names the classes and the splits")
        if _is_named_like_a_config(config):
            return Match(DECLARED, f"{config} describes a dataset")
    labels = _label_folders(files)
    if labels and (config or _class_files(files)):
        return Match(CONVENTION, f"label files in {labels[0] or 'the folder'}, and named classes")
    if labels:
        return Match(FOLDERS, f"label files in {labels[0]}")
    return Match(UNLIKELY, f"{config} names classes") if config else None


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the boxes of label files.

    A `data.yaml` names the classes and the image folders of the splits, or files that list images.
    Without it, the images are in `images/train` and the labels in `labels/train` and so on, or in
    `images` and `labels` without splits, or side by side; `classes.txt` names the classes. An image
    without a label file has no boxes.

    Raises:
        ImportError: if there is a YAML file and PyYAML is not installed.
        ValueError: if the classes or folders that are named cannot be read.
    """
    name = _config_file(files)
    config = _from_config(files, name) if name else _from_names(files)
    images: dict[str, list[Path]] = {}
    problems, lists = list(config.problems), []
    for split, sources in config.sources.items():
        images[split] = []
        lists += [source for source in sources if source.suffix.lower() == ".txt"]
        for source in sources:
            found, ambiguous = _images(files, source, split)
            images[split] += found
            problems += ambiguous
        if not images[split]:
            reason = f"the {split} split has no images in {', '.join(map(str, sources))}"
            problems.append(Problem("empty split", files.path(name or ""), reason))
    outside = [p for paths in images.values() for p in paths if not p.is_relative_to(files.root)]
    labels = LabelFiles([files], outside)
    splits: dict[str, list[AnnotatedImage]] = {}
    for split, paths in images.items():
        splits[split], malformed = read_labels(paths, labels, config.names, config.keypoints)
        problems += malformed
    problems += labels.without_image()
    described = [files.path(n) for n in (name, *_class_files(files)) if n]
    used = {*labels.used, *lists, *described}
    return Annotations(splits, tuple(config.names.values()), problems, frozenset(used))


# Files that describe the dataset.


def _config_file(files: DatasetFiles) -> str | None:
    """Return the YAML file that describes the dataset; there may be others beside it."""
    names = sorted(files.with_suffix(*YAML_SUFFIXES), key=lambda name: (name.count("/"), name))
    if files.file is not None:
        return names[0] if names else None
    named = [name for name in names if _is_named_like_a_config(name)]
    return next(iter(named or [n for n in names if b"names" in _keys(files.path(n))]), None)


def _is_named_like_a_config(name: str) -> bool:
    return posixpath.splitext(posixpath.basename(name))[0].lower() in ("data", "dataset")


def _keys(path: Path) -> set[bytes]:
    return {line.split(b":")[0].strip() for line in _head(path).split(b"\n") if b":" in line}


def _head(path: Path) -> bytes:
    """Return the beginning of a file, of which no configuration has more; empty if unreadable."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""


def _from_config(files: DatasetFiles, name: str) -> _Config:
    yaml: Any = require("yaml", "detect", "Reading data.yaml")
    path = files.path(name)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
        loader = yaml.SafeLoader(read_text(path))
        # A few lines of `<<`, which merges mappings into others, could fill the memory.
        loader.flatten_mapping = lambda _: None
        config = loader.get_single_data()
        sources, problems = _sources(files, name, config)
        names = _class_names(config["names"])
        return _Config(sources or _from_folders(files), names, _keypoints(config), tuple(problems))
    except (yaml.YAMLError, RecursionError, OSError, *MALFORMED) as error:
        raise ValueError(
            f"{path} does not describe a dataset: it must have `names`, `train` and `val`. "
            f"{type(error).__name__}: {error}"
        ) from error


def _keypoints(config: dict[Any, Any]) -> int:
    """Return the number of values of key points: their number, times 2 or 3 for each."""
    shape = config.get("kpt_shape")
    if shape is None:
        return 0
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 10_000 for n in shape):
        raise ValueError("`kpt_shape` must be a list of two whole numbers")
    return math.prod(shape)


def _class_names(names: Any) -> dict[int, str]:
    """Return the names of the classes by id, in the order of the ids."""
    if not isinstance(names, (list, dict)):
        raise ValueError(f"`names` must be a list or a mapping. Received: {type(names).__name__}")
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    classes = {int(number): as_name(name) for number, name in pairs}
    if len(classes) < len(names):
        raise ValueError("`names` gives an id twice")
    return dict(sorted(classes.items()))


def _sources(
    files: DatasetFiles, name: str, config: dict[Any, Any]
) -> tuple[dict[str, list[Path]], list[Problem]]:
    """Return the image folders and lists of each split."""
    folder = files.path(name).parent
    roots = [folder / as_name(config.get("path") or "").replace("\\", "/"), folder]
    sources: dict[str, list[Path]] = {}
    problems = []
    for key, value in config.items():
        split = split_name(str(key), exact=True)
        if not split or not value:
            continue
        for entry in value if isinstance(value, list) else [value]:
            path, is_moved = resolve(files, as_name(entry), roots)
            if is_moved:
                reason = f"`{key}` names {entry}, which is read as {path}"
                problems.append(Problem("moved path", files.path(name), reason, str(key)))
            if path.is_dir() and _holds(path, files.root):
                raise ValueError(f"`{key}` names {entry}, a folder that holds the dataset itself")
            # Some exporters name a test split whether there is one or not.
            if split != "test" or path.exists():
                sources.setdefault(split, []).append(path)
    return sources, problems


def _holds(folder: Path, root: Path) -> bool:
    """Whether a folder is above another one: such as `/`, with all files of the machine."""
    return Path(folder).resolve() in Path(root).resolve().parents


# Datasets without such a file.


def _from_names(files: DatasetFiles) -> _Config:
    names = _listed_names(files)
    if not names:
        raise ValueError(
            f"{files.root} must name the classes of its labels. Add a file `classes.txt` with one "
            "name per line."
        )
    return _Config(_from_lists(files) or _from_folders(files), names)


def _from_lists(files: DatasetFiles) -> dict[str, list[Path]]:
    """Return the lists of images by split, such as `train.txt`."""
    lists: dict[str, list[Path]] = {}
    for name in files.with_suffix(".txt"):
        split = split_name(posixpath.splitext(posixpath.basename(name))[0], exact=True)
        if split and has_image_suffix(next(iter(files.text(name).splitlines()), "").strip()):
            lists.setdefault(split, []).append(files.path(name))
    return lists


def _class_files(files: DatasetFiles) -> list[str]:
    """Return the files of classes that are not empty, the uppermost first."""
    for group in CLASS_FILES:
        found = [name for name in files.names if posixpath.basename(name).lower() in group]
        found = [name for name in found if _head(files.path(name)).strip()]
        if found:
            return sorted(found, key=lambda name: (name.count("/"), name))
    return []


def _listed_names(files: DatasetFiles) -> dict[int, str]:
    """Read the names of the classes by id from text files, if there are any.

    There may be one in each folder, to which annotators have added classes.

    Raises:
        ValueError: if a file cannot be read, or the names of one are not the first of another.
    """
    longest: dict[int, str] = {}
    owner = ""
    for name in _class_files(files):
        names = listed_classes(files.path(name))
        longer, shorter = (names, longest) if len(names) > len(longest) else (longest, names)
        if not shorter.items() <= longer.items():
            raise ValueError(
                f"{files.path(owner)} and {files.path(name)} name other classes: the ids of the "
                "labels would have two meanings. Remove one of them, or add a data.yaml."
            )
        longest, owner = (names, name) if longer is names else (longest, owner)
    return longest


def _label_folders(files: DatasetFiles) -> list[str]:
    """Return the folders of label files: those of images, and those named `labels`."""
    images = {posixpath.splitext(name.lower())[0] for name in files.images}
    stems = {posixpath.basename(name) for name in images}
    found: dict[str, None] = {}
    for name in files.with_suffix(".txt"):
        folder, stem = posixpath.dirname(name), posixpath.splitext(name.lower())[0]
        is_label_folder = "labels" in folder.lower().split("/")
        has_image = not stems or posixpath.basename(stem) in stems
        if stem in images or (is_label_folder and has_image):
            found[folder] = None
    return list(found)


def _from_folders(files: DatasetFiles) -> dict[str, list[Path]]:
    """Return the images by the split that their folder is named after.

    If there are folders named `images`, others are left out, such as those of masks.
    """
    is_usual = {folder: "images" in folder.lower().split("/") for folder in files.image_folders}
    if any(is_usual.values()):
        is_usual = {folder: True for folder, usual in is_usual.items() if usual}
    splits: dict[str, list[Path]] = {}
    for name in files.images:
        folder = posixpath.dirname(name)
        if folder in is_usual:
            splits.setdefault(split_of(f"{folder}/") or "train", []).append(files.path(name))
    return splits


def _images(files: DatasetFiles, source: Path, split: str) -> tuple[list[Path], list[Problem]]:
    """List the images below a folder, those that a text file names, or the image itself."""
    if has_image_suffix(source.name):
        return [source], []
    if source.is_dir():
        if source.is_relative_to(files.root):
            return [files.path(name) for name in _images_below(files, source)], []
        other = DatasetFiles(source)
        return [other.path(name) for name in other.images], []
    if not source.is_file():
        raise ValueError(f"There is no folder or list of images {source}.")
    return listed_images(files, source, split)


def _images_below(files: DatasetFiles, folder: Path) -> list[str]:
    """Return the images of a folder; of a link, those of the folder that it leads to."""
    names = files.below(folder.relative_to(files.root).as_posix().removeprefix("."))
    root, real = files.root.resolve(), folder.resolve()
    if names or not real.is_relative_to(root):
        return names
    return files.below(real.relative_to(root).as_posix().removeprefix("."))


YOLO = Format(
    "YOLO",
    "detection",
    "data.yaml, or the folders images and labels with classes.txt",
    match,
    read,
)
