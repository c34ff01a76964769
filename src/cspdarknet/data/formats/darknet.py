"""Darknet: `obj.data` with lists of images, or folders of images with `_darknet.labels`."""

import posixpath
from collections.abc import Iterable
from pathlib import Path

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.darknet_data import Images, data_file, read_data_file
from cspdarknet.data.formats.format import LISTED, NAMED, RECOGNIZED, Format, Match
from cspdarknet.data.formats.image_lists import listed_classes
from cspdarknet.data.formats.merging import split_of
from cspdarknet.data.formats.yolo_labels import LabelFiles, read_labels
from cspdarknet.data.problems import Problem


def match(files: DatasetFiles) -> Match | None:
    """Match a `.data` file of Darknet, or Roboflow's files of classes."""
    is_folder = files.file is None
    if name := data_file(files):
        reason = f"{name} names the classes and the lists of images"
        return Match(LISTED if is_folder else NAMED, reason)
    if names := _class_files(files):
        return Match(RECOGNIZED if is_folder else NAMED, f"{names[0]} names the classes")
    return None


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the boxes of the label files of the listed images, or of those in folders of splits.

    Raises:
        ValueError: if a list or the names of the classes cannot be read.
    """
    problems: list[Problem] = []
    if name := data_file(files):
        names, splits, used = read_data_file(files, name, problems)
    else:
        names, splits, used = _from_folders(files)
    images = [image for paths in splits.values() for image in paths]
    labels = LabelFiles([files], [path for path in images if not path.is_relative_to(files.root)])
    annotated: dict[str, list[AnnotatedImage]] = {}
    for split, paths in splits.items():
        annotated[split], malformed = read_labels(paths, labels, names)
        problems += malformed
    if files.file is None:
        problems += _unlisted(files, images, labels)
    problems += labels.without_image()
    return Annotations(annotated, tuple(names.values()), problems, frozenset({*used, *labels.used}))


def _unlisted(files: DatasetFiles, images: Iterable[Path], labels: LabelFiles) -> list[Problem]:
    """Name the images that have labels, but are in no split."""
    listed, used = set(images), {None, *labels.used}
    others = [path for name in files.images if (path := files.path(name)) not in listed]
    return [
        Problem("unlisted image", path, "it has labels, but no list of a split names it")
        for path in others
        if labels.of(path) not in used
    ]


def _class_files(files: DatasetFiles) -> list[str]:
    names = files.with_suffix("_darknet.labels")
    return [name for name in names if posixpath.basename(name).lower() == "_darknet.labels"]


def _from_folders(files: DatasetFiles) -> tuple[dict[int, str], Images, list[Path]]:
    """Return the same of the folders with a `_darknet.labels`, and of splits beside them."""
    names = _class_files(files)
    paths = [files.path(name) for name in names]
    classes = [listed_classes(path) for path in paths]
    if not classes:
        raise ValueError(f"{files.root} has neither `obj.data` nor `_darknet.labels`.")
    if any(other != classes[0] for other in classes):
        raise ValueError(f"{paths[0]} and the others of this name must have the same classes.")
    own = {posixpath.dirname(name) for name in names}
    parents = {posixpath.dirname(folder) for folder in own}
    splits: Images = {}
    for name in files.images:
        folder = posixpath.dirname(name)
        is_beside = posixpath.dirname(folder) in parents and split_of(f"{folder}/")
        if folder in own or is_beside:
            splits.setdefault(split_of(f"{folder}/") or "train", []).append(files.path(name))
    return classes[0], splits, paths


DARKNET = Format(
    "Darknet",
    "detection",
    "obj.data with lists of images, or folders of images with _darknet.labels",
    match,
    read,
)
