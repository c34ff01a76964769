"""Lists of keras-yolo3: text files with an image and its boxes in each line."""

import posixpath
import re
from functools import partial
from pathlib import Path

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import CONVENTION, FOLDERS, RELATED, Format, Match
from cspdarknet.data.formats.image_lists import listed_classes
from cspdarknet.data.formats.listed import (
    ListedImage,
    Listing,
    few_of_each_folder,
    match_files,
    read_listed,
    read_objects,
)
from cspdarknet.data.formats.values import Box, as_number
from cspdarknet.images import has_image_suffix

BESIDE_LABELS = (CONVENTION + FOLDERS) / 2
# The beginning of a file, by which it is recognized.
BEGINNING_BYTES = 64_000
# A line has the path of an image, which may have spaces, and boxes without spaces.
BOX = re.compile(r"[\d.+-]+,[\d.+-]+,[\d.+-]+,[\d.+-]+,\d+(\.0+)?")
CLASS_FILES = ("classes.txt", "_classes.txt")
CLASS_FILE = re.compile(r"(.*_)?classes\.txt|.*\.names")


def match(files: DatasetFiles) -> Match | None:
    """Match text files of images and boxes."""
    texts = files.with_suffix(".txt")
    names = _lists(files, few_of_each_folder(texts))
    # Beside the label files of YOLO, a list is what was made from them.
    has_labels = bool(names) and files.file is None and 2 * len(texts) > len(files.images)
    certainty = BESIDE_LABELS if has_labels else RELATED
    return match_files(files, names, certainty, "lists images with boxes")


def _lists(files: DatasetFiles, names: list[str]) -> list[str]:
    return [name for name in names if _is_list(files.path(name))]


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            content = file.read(BEGINNING_BYTES)
    except OSError:
        return False
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = content.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if len(content) == BEGINNING_BYTES:
        lines = lines[:-1]
    parsed = [_parts(line) for line in lines]
    with_boxes = [boxes for path, boxes in parsed if path and any(map(BOX.fullmatch, boxes))]
    return bool(with_boxes) and 2 * sum(bool(path) for path, _ in parsed) > len(parsed)


def _parts(line: str) -> tuple[str, list[str]]:
    """Return the path in a line, empty if it has none, and the boxes."""
    for word in reversed(list(re.finditer(r"\S+", line))):
        if has_image_suffix(word.group()):
            return line[: word.end()].strip(), line[word.end() :].split()
    return "", []


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the boxes of lists; the ids of their classes count the lines of a file of classes.

    Raises:
        ValueError: if no file is in the format, or there is not one file of classes.
    """
    return read_listed(files, _lists(files, files.with_suffix(".txt")), _read_file)


def _read_file(files: DatasetFiles, name: str) -> Listing:
    class_file = files.path(_class_file(files, name))
    names = listed_classes(class_file)
    listing = Listing(class_names=list(names.values()), used=[class_file])
    lines = [
        (f"line {number}", (f"line {number}", *_parts(line)))
        for number, line in enumerate(files.text(name).splitlines(), 1)
        if line.strip()
    ]
    listing.read(files.path(name), lines, _reference, partial(_image, class_names=names))
    return listing


def _class_file(files: DatasetFiles, name: str) -> str:
    """Return the file of the classes of a list: that of its folder, or else the only one."""
    found = [n for n in files.names if CLASS_FILE.fullmatch(posixpath.basename(n).lower())]
    beside = [n for n in found if posixpath.dirname(n) == posixpath.dirname(name)]
    usual = [n for n in beside or found if posixpath.basename(n).lower() in CLASS_FILES]
    chosen = usual if len(usual) == 1 else beside or found
    if len(chosen) != 1:
        received = f"Received: {', '.join(chosen[:5])}." if chosen else "There is none."
        raise ValueError(
            f"{files.path(name)} must have one file of classes beside it, `classes.txt`, with one "
            f"name per line. {received}"
        )
    return chosen[0]


def _reference(line: tuple[str, str, list[str]]) -> str:
    where, reference, _ = line
    if not reference:
        raise ValueError(f"{where}: it must begin with the path of an image")
    return reference


def _image(
    reference: str, line: tuple[str, str, list[str]], class_names: dict[int, str]
) -> ListedImage:
    where, _, boxes = line
    read = partial(_object, class_names=class_names)
    return ListedImage(reference, read_objects(boxes, f"{where}, box", read))


def _object(text: str, class_names: dict[int, str]) -> tuple[str, Box]:
    values = text.split(",")
    if len(values) != 5:
        raise ValueError(
            f"a box must be 4 sides and a class, such as 1,2,30,40,0. Received: {text[:40]}"
        )
    left, top, right, bottom, class_id = (as_number(value, "each value") for value in values)
    if not class_id.is_integer():
        raise ValueError(f"the class must be a whole number. Received: {values[-1][:40]}")
    name = class_names.get(int(class_id), f"id {int(class_id)}")
    return name, (left, top, right, bottom)


KERAS_LISTS = Format(
    "keras-yolo3",
    "detection",
    "train.txt with `path x1,y1,x2,y2,class ...` in each line, and classes.txt",
    match,
    read,
)
