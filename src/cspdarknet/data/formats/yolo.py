"""YOLO: a `data.yaml` or the folders `images` and `labels`, with a text file for each image."""

from pathlib import Path

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import (
    CONVENTION,
    DECLARED,
    FOLDERS,
    NAMED,
    UNLIKELY,
    Format,
    Match,
)
from cspdarknet.data.formats.image_lists import listed_images
from cspdarknet.data.formats.yolo_config import (
    config_file,
    from_config,
    is_named_like_a_config,
    keys,
)
from cspdarknet.data.formats.yolo_folders import (
    class_files,
    from_folders,
    from_names,
    label_folders,
)
from cspdarknet.data.formats.yolo_labels import LabelFiles, read_labels
from cspdarknet.data.problems import Problem
from cspdarknet.images import has_image_suffix


def match(files: DatasetFiles) -> Match | None:
    """Match a YAML file with names of classes, or label files."""
    config = config_file(files)
    if files.file is not None:
        return Match(NAMED, "a YAML file") if config else None
    if config:
        found = keys(files.path(config))
        has_splits = bool({b"train", b"val", b"valid", b"test"} & found)
        if b"names" in found and has_splits:
            return Match(DECLARED, f"{config} names the classes and the splits")
        if is_named_like_a_config(config):
            return Match(DECLARED, f"{config} describes a dataset")
    labels = label_folders(files)
    if labels and (config or class_files(files)):
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
    name = config_file(files)
    config = from_config(files, name) if name else from_names(files)
    if not config.sources:
        config = config._replace(sources=from_folders(files))
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
    described = [files.path(n) for n in (name, *class_files(files)) if n]
    used = {*labels.used, *lists, *described}
    return Annotations(splits, tuple(config.names.values()), problems, frozenset(used))


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
