"""Reader of folders that have a subfolder of images for each class."""

from pathlib import Path

from cspdarknet.data.annotations import Annotations, LabeledImage
from cspdarknet.data.formats.reading import images_in, split_folders


def read_class_folders(data: Path) -> Annotations[LabeledImage] | None:
    """Read a dataset of class folders, in folders of splits or without splits.

    Subfolders of a class folder are searched too. Hidden files and folders are left out.

    Args:
        data: the folder.

    Returns:
        The images by split, or `None` if `data` is not a folder.
    """
    if not data.is_dir():
        return None
    folders = split_folders(data, exact=True)
    # The folder of a split has class folders; a folder of images that is named like a split is
    # itself a class.
    if not folders or not all(_subfolders(folder) for folder in folders.values()):
        folders = {"train": data}
    return Annotations({split: _images(folder) for split, folder in folders.items()})


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def _images(folder: Path) -> list[LabeledImage]:
    return [
        LabeledImage(path, class_folder.name)
        for class_folder in _subfolders(folder)
        if not class_folder.name.startswith(".")
        for path in images_in(class_folder, recursive=True)
    ]
