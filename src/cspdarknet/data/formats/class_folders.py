"""Class folders: a subfolder of images for each class."""

import posixpath

from cspdarknet.data.annotations import Annotations, LabeledImage
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import FOLDERS, UNLIKELY, Format, Match
from cspdarknet.data.problems import Problem, count_of
from cspdarknet.data.splits import split_name
from cspdarknet.images import is_left_out

# Folders of all images, which are not named after a class; KITTI has the last.
IMAGE_FOLDERS = ("images", "imgs", "img", "jpegimages", "image_2", "image_3")


def match(files: DatasetFiles) -> Match | None:
    """Match a folder of class folders, or of folders of splits that have class folders."""
    if files.file is not None:
        return None
    splits = class_folders(files)
    names = {_last(folder) for folders in splits.values() for folder in folders}
    if not names:
        return None
    reason = f"{count_of(len(names), 'folder')} of images, named after classes"
    if list(splits) != ["train"]:
        return Match(FOLDERS, f"{reason}, in folders of splits")
    return Match(FOLDERS if len(names) > 1 else UNLIKELY, reason)


def read(files: DatasetFiles) -> Annotations[LabeledImage]:
    """Read the images of class folders, and of their subfolders.

    Raises:
        ValueError: if the class folders all have the same subfolders, so that it is not clear which
            of both are the classes.
    """
    by_split = class_folders(files)
    splits = {
        split: [
            LabeledImage(files.path(name), _last(folder))
            for folder in folders
            for name in files.below(folder)
        ]
        for split, folders in by_split.items()
    }
    folders = [folder for folders in by_split.values() for folder in folders]
    _check_levels(files, folders)
    notes = [
        Problem("nested folder", files.path(folder), f"it has {count_of(len(inside), 'subfolder')}")
        for folder in folders
        if (inside := files.subfolders.get(folder))
    ]
    return Annotations(splits, problems=notes + _empty_folders(files, folders))


def _empty_folders(files: DatasetFiles, folders: list[str]) -> list[Problem]:
    """Name the folders beside class folders that have no images: they are not classes."""
    above = dict.fromkeys(posixpath.dirname(folder) for folder in folders)
    beside = [path for folder in above for path in sorted(files.path(folder).iterdir())]
    known = {files.path(folder) for group in files.subfolders.values() for folder in group}
    return [
        Problem("empty folder", path, "it has no images")
        for path in beside
        if path not in known and path.is_dir() and not is_left_out(path.name)
    ]


def _check_levels(files: DatasetFiles, folders: list[str]) -> None:
    """Raise an error if the subfolders may be the classes, such as in one folder for each day.

    Archives often hold a second copy of all class folders in a folder beside them.
    """
    names = {_last(folder) for folder in folders}
    for folder in folders:
        inner = sorted({_last(f) for f in files.subfolders.get(folder, [])} & names)
        if len(inner) > 1 and folder not in files.image_folders:
            raise ValueError(
                f"{files.path(folder)} has the subfolders {_shown(inner)}, and there are folders "
                "of these names beside it. Remove it if it is a copy, or name the folder of the "
                "class folders."
            )
    inside = [{_last(f) for f in files.subfolders.get(folder, [])} for folder in folders]
    if len(folders) > 1 and len(inside[0]) > 1 and all(names == inside[0] for names in inside):
        raise ValueError(
            f"{files.root} has the folders {_shown(folders)}, all with the subfolders "
            f"{_shown(sorted(inside[0]))}: either may be the classes. Name the folders of splits "
            "train, validation and test, put the class folders on top, or list the images in a CSV "
            "file."
        )


def _shown(folders: list[str]) -> str:
    names = [_last(folder) for folder in folders]
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def class_folders(files: DatasetFiles) -> dict[str, list[str]]:
    """Return the class folders of each split; a dataset without splits has `"train"` only.

    Folders named like splits are splits if there are no others, or if they have class folders. A
    single folder of images that is named like a split, beside others, is a class.
    """
    root = _unwrapped(files, "")
    children = _children(files, root)
    inside = {child: _children(files, _unwrapped(files, child)) for child in children}
    splits = {child: split for child in children if (split := split_name(_last(child)))}
    if len(splits) < len(children):
        exact = [child for child in splits if split_name(_last(child), exact=True)]
        named = [child for child in exact if inside[child]] or _of_the_same_classes(splits, inside)
        if not named:
            return {"train": children} if children else {}
        splits = {child: splits[child] for child in named}
    found: dict[str, list[str]] = {}
    for child, split in splits.items():
        if inside[child]:
            found.setdefault(split, []).extend(inside[child])
    trained = {_last(folder) for folder in found.get("train", [])}
    return {
        split: folders
        for split, folders in found.items()
        # A folder in a folder, as in `test1/test1`, has images without a class.
        if not trained or len(folders) > 1 or _last(folders[0]) in trained or split == "train"
    }


def _children(files: DatasetFiles, folder: str) -> list[str]:
    """Return the subfolders, unless one is named as that of all images, beside those of masks."""
    children = files.subfolders.get(folder, [])
    return [] if any(_last(child).lower() in IMAGE_FOLDERS for child in children) else children


def _of_the_same_classes(splits: dict[str, str], inside: dict[str, list[str]]) -> list[str]:
    """Return the folders of different splits that have class folders of the same names."""
    classes = {child: {_last(folder) for folder in inside[child]} for child in splits}
    return [
        child
        for child, split in splits.items()
        if any(classes[child] & classes[other] for other in splits if splits[other] != split)
    ]


def _unwrapped(files: DatasetFiles, folder: str) -> str:
    """Follow folders that hold one folder of folders and nothing else, as in nested archives.

    A folder of folders that is named as that of all images is followed, too.
    """
    while folder not in files.image_folders:
        children = files.subfolders.get(folder, [])
        usual = [child for child in children if _last(child).lower() in IMAGE_FOLDERS]
        if len(children) != 1 and len(usual) != 1:
            break
        (child,) = children if len(children) == 1 else usual
        is_split = split_name(_last(child)) and _last(child) != _last(folder)
        if is_split or child not in files.subfolders:
            break
        folder = child
    return folder


def _last(folder: str) -> str:
    return posixpath.basename(folder)


CLASS_FOLDERS = Format(
    "class folders",
    "classification",
    "a folder with a subfolder of images for each class",
    match,
    read,
)
