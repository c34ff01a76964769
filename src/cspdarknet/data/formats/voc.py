"""Pascal VOC: an XML file of boxes for each image."""

import posixpath
from collections.abc import Iterable
from pathlib import Path
from xml.etree.ElementTree import Element

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import (
    DatasetFiles,
)
from cspdarknet.data.formats.format import NAMED, RECOGNIZED, UNLIKELY, Format, Match
from cspdarknet.data.formats.merging import ambiguous, split_of_folder
from cspdarknet.data.formats.values import Box, as_number, centered_box, rotated_box
from cspdarknet.data.formats.voc_images import image_of, images_by_stem, stem_of
from cspdarknet.data.formats.voc_lists import by_reference, list_files, referenced, references
from cspdarknet.data.formats.xml import parse_xml, root_tag
from cspdarknet.data.problems import Problem

SAMPLED = 5
# The format has no list of classes; other tools that write it add this one.
CLASS_FILE = "classes.txt"
DIFFICULT = ("1", "1.0", "true")
MALFORMED = (ValueError, OverflowError, OSError)


def match(files: DatasetFiles) -> Match | None:
    """Match XML files whose root is `annotation`."""
    names = files.with_suffix(".xml")
    if not names:
        return None
    roots = [_root_tag(files.path(name)) for name in names[:: max(1, len(names) // SAMPLED)]]
    if "annotation" not in roots:
        return Match(UNLIKELY, f"{names[0]} is an XML file") if None in roots else None
    # A few files beside many images are no dataset; there may be masks of the same names, too.
    images = {stem_of(name) for name in files.images}
    covered = len(images & {stem_of(name) for name in names})
    is_most = 2 * covered >= len(images) and 3 * len(names) >= len(files.images)
    certainty = RECOGNIZED if is_most else RECOGNIZED / 2
    return Match(NAMED if files.file else certainty, f"{len(names)} XML files with annotations")


def _root_tag(path: Path) -> str | None:
    try:
        return parse_xml(path).tag
    except MALFORMED:
        return None


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the boxes of XML files.

    An XML file belongs to the image of the same name; of several, to the one that it names in
    `filename`. Splits have folders of their own, or are listed in `ImageSets/Main`.

    The coordinates are used as they are. The original development kit counts pixels from 1, most
    tools that write its format count from 0, and no file says which.
    """
    splits: dict[str, list[AnnotatedImage]] = {}
    names, lists = files.with_suffix(".xml"), list_files(files)
    if files.file is None:  # CVAT's file may be beside those that it exported
        names = [name for name in names if root_tag(files.path(name)) != "annotations"]
    images = images_by_stem(files)
    problems, annotated = [], {}
    for name in names:
        result = _read_file(files, name, images)
        if isinstance(result, Problem):
            problems.append(result)
        else:
            annotated[name] = result
    if not lists:
        for name, image in annotated.items():
            splits.setdefault(split_of_folder(name) or "train", []).append(image)
    known = by_reference(annotated)
    damaged = {problem.path.stem for problem in problems}
    for name, split in lists.items():
        for reference in references(files, name, known):
            found = referenced(known, reference, name)
            if len(found) == 1:
                splits.setdefault(split, []).append(annotated[found[0]])
            elif found:
                problems.append(ambiguous(files.path(name), reference))
            elif posixpath.basename(reference) not in damaged:
                problems.append(_unlisted(files, reference, images, split))
    class_names = _class_names(files, annotated.values())
    used = [*names, *lists, *([CLASS_FILE] if class_names else [])]
    return Annotations(splits, class_names, problems, frozenset(files.path(name) for name in used))


def _class_names(files: DatasetFiles, images: Iterable[AnnotatedImage]) -> tuple[str, ...] | None:
    """Return the classes in the order of `classes.txt`, if it names all of them."""
    if files.file is not None or CLASS_FILE not in files.names:
        return None
    try:
        lines = [line.strip() for line in files.text(CLASS_FILE).split("\n")]
    except ValueError:
        return None
    listed = dict.fromkeys(line for line in lines if line)
    present = {name for image in images for name in image.names}
    return tuple(listed) if listed and present <= set(listed) else None


def _unlisted(
    files: DatasetFiles, reference: str, images: dict[str, list[str]], split: str
) -> Problem:
    found = images.get(posixpath.basename(reference).lower())
    path = files.path(found[0] if found else reference)
    return Problem("missing annotation", path, f"is listed for {split}, but has no XML file")


def _read_file(
    files: DatasetFiles, name: str, images: dict[str, list[str]]
) -> AnnotatedImage | Problem:
    path = files.path(name)
    try:
        root = parse_xml(path)
        if root.tag != "annotation":
            raise ValueError(f"it begins with <{root.tag}>, not with <annotation>")
        objects = list(root.iter("object"))
        image = image_of(files, name, root, images)
        if isinstance(image, Problem):
            return image
        return AnnotatedImage(
            image,
            [_box(item) for item in objects],
            [(item.findtext("name") or "").strip() for item in objects],
            [_is_difficult(item) for item in objects],
            _size(root),
        )
    except MALFORMED as error:
        reason = f"is not in the Pascal VOC format ({error})"
        return Problem("malformed annotation", path, reason)


def _is_difficult(item: Element) -> bool:
    return (item.findtext("difficult") or "").strip().lower() in DIFFICULT


def _box(item: Element) -> Box:
    if len(item.findall("bndbox")) > 1:
        raise ValueError("an object has several boxes")
    rotated = item.find("robndbox")
    if rotated is not None and item.find("bndbox") is None:
        keys = ("cx", "cy", "w", "h", "angle")  # the angle in radians
        values = (as_number(rotated.findtext(key), f"`{key}`") for key in keys)
        x, y, width, height, angle = values
        return rotated_box(centered_box(x, y, width, height), angle)
    left, top, right, bottom = (
        float(item.findtext(f"bndbox/{side}") or "nan") for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return left, top, right, bottom


def _size(root: Element) -> tuple[int, int] | None:
    texts = (root.findtext(f"size/{side}") or "0" for side in ("width", "height"))
    width, height = (int(float(text)) for text in texts)  # some tools write 80.0
    return (width, height) if width and height else None  # some tools write 0


VOC = Format(
    "Pascal VOC",
    "detection",
    "an XML file for each image, such as Annotations/1.xml for JPEGImages/1.jpg",
    match,
    read,
)
