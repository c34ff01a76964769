"""The images that the XML files of Pascal VOC are of."""

import posixpath
from collections import defaultdict
from pathlib import Path
from xml.etree.ElementTree import Element

from cspdarknet.data.files import (
    DatasetFiles,
    folded,
    in_the_stated_folder,
    normalized,
    shared_parts,
)
from cspdarknet.data.formats.merging import split_of_folder
from cspdarknet.data.problems import Problem

# There may be folders of masks beside them.
IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")


def stem_of(name: str) -> str:
    """Return the file name without its suffix, folded."""
    return folded(posixpath.splitext(posixpath.basename(name))[0])


def images_by_stem(files: DatasetFiles) -> dict[str, list[str]]:
    """Return the images by their file names without suffix."""
    found = defaultdict(list)
    for name in files.images:
        found[stem_of(name)].append(name)
    return found


def image_of(
    files: DatasetFiles, name: str, root: Element, images: dict[str, list[str]]
) -> Path | Problem:
    """Return the image of an XML file.

    That of the same name takes precedence over `filename`, which is out of date in many datasets.
    """
    stated = normalized(root.findtext("filename") or "")
    stem = posixpath.splitext(posixpath.basename(name))[0]
    candidates = [i for i in images.get(folded(stem), []) if _may_be(files, i, name)]
    last = folded(posixpath.basename(stated))
    named = [item for item in candidates if folded(posixpath.basename(item)) == last]
    same = _nearest(named or candidates, name)
    if len(same) > 1 and stated and not named:
        reason = f"several images have its name, and none is its `filename`, {stated}"
        return Problem("ambiguous image", files.path(name), reason)
    if len(same) > 1:
        reason = f"several images have its name: {', '.join(same)}"
        return Problem("ambiguous image", files.path(name), reason)
    if same:
        return files.path(same[0])
    wanted = stated or f"{stem}.jpg"
    (found,) = files.locate([wanted], posixpath.dirname(name), split_of_folder(name))
    if found is None:
        return Problem("ambiguous image", files.path(name), f"several images match {wanted}")
    inside = found.relative_to(files.root).as_posix() if found.is_relative_to(files.root) else ""
    if not found.exists() or (inside and not _may_be(files, inside, name)):
        reason = f"there is no image of this name, and none that it names, {wanted[:200]}"
        return Problem("label without image", files.path(name), reason)
    return found


def _may_be(files: DatasetFiles, image: str, name: str) -> bool:
    """Whether an image of the name of an XML file is not in the folder of another split or group.

    That is so for `JPEGImages/day2/a.jpg` and `Annotations/day1/a.xml` if there are images in
    `JPEGImages/day1`.
    """
    folder = posixpath.dirname(name)
    splits = {split_of_folder(name), split_of_folder(image)} - {None}
    if len(splits) > 1:
        return False
    if folder in files.image_folders:
        return True
    return in_the_stated_folder(posixpath.dirname(image), folder, files.folder_ends)


def _nearest(candidates: list[str], name: str) -> list[str]:
    """Return the images whose folders agree most with that of an XML file, from either end."""

    def agreement(item: str) -> tuple[bool, int, bool]:
        a, b = item.split("/")[:-1], name.split("/")[:-1]
        shared = shared_parts(a, b) + shared_parts(a[::-1], b[::-1])
        is_usual = bool(a) and a[-1].lower() in IMAGE_FOLDERS
        return split_of_folder(item) == split_of_folder(name), shared, is_usual

    best = max(map(agreement, candidates), default=None)
    return [item for item in candidates if agreement(item) == best]
