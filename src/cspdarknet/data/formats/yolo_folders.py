"""YOLO datasets without a `data.yaml`: lists of classes, and folders of images and labels."""

import posixpath
from pathlib import Path

from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.image_lists import listed_classes
from cspdarknet.data.formats.merging import split_of
from cspdarknet.data.formats.yolo_config import YoloConfig, head
from cspdarknet.data.splits import split_name
from cspdarknet.images import has_image_suffix

# Files of classes; each group is looked for where there is none of those before. LabelImg reads the
# last, and writes the first.
CLASS_FILES = (
    ("classes.txt", "_classes.txt", "obj.names"),
    ("labels.txt",),
    ("predefined_classes.txt",),
)


def from_names(files: DatasetFiles) -> YoloConfig:
    """Return the classes and the lists of images that the names of files tell.

    Raises:
        ValueError: if no file names the classes.
    """
    names = _listed_names(files)
    if not names:
        raise ValueError(
            f"{files.root} must name the classes of its labels. Add a file `classes.txt` with one "
            "name per line."
        )
    return YoloConfig(_from_lists(files), names)


def _from_lists(files: DatasetFiles) -> dict[str, list[Path]]:
    """Return the lists of images by split, such as `train.txt`."""
    lists: dict[str, list[Path]] = {}
    for name in files.with_suffix(".txt"):
        split = split_name(posixpath.splitext(posixpath.basename(name))[0], exact=True)
        if split and has_image_suffix(next(iter(files.text(name).splitlines()), "").strip()):
            lists.setdefault(split, []).append(files.path(name))
    return lists


def class_files(files: DatasetFiles) -> list[str]:
    """Return the files of classes that are not empty, the uppermost first."""
    for group in CLASS_FILES:
        found = [name for name in files.names if posixpath.basename(name).lower() in group]
        found = [name for name in found if head(files.path(name)).strip()]
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
    for name in class_files(files):
        names = listed_classes(files.path(name))
        longer, shorter = (names, longest) if len(names) > len(longest) else (longest, names)
        if not shorter.items() <= longer.items():
            raise ValueError(
                f"{files.path(owner)} and {files.path(name)} name other classes: the ids of the "
                "labels would have two meanings. Remove one of them, or add a data.yaml."
            )
        longest, owner = (names, name) if longer is names else (longest, owner)
    return longest


def label_folders(files: DatasetFiles) -> list[str]:
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


def from_folders(files: DatasetFiles) -> dict[str, list[Path]]:
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
