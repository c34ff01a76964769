"""Pascal VOC: an XML file of boxes for each image."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Container, Iterable
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import (
    DatasetFiles,
    folded,
    in_the_stated_folder,
    normalized,
    shared_parts,
)
from cspdarknet.data.formats.format import NAMED, RECOGNIZED, UNLIKELY, Format, Match
from cspdarknet.data.formats.merging import ambiguous, split_of_folder
from cspdarknet.data.formats.values import Box, as_number, centered_box, rotated_box
from cspdarknet.data.formats.xml import parse_xml, root_tag
from cspdarknet.data.problems import Problem
from cspdarknet.data.splits import split_name
from cspdarknet.images import has_image_suffix

SAMPLED = 5
# The format has no list of classes; other tools that write it add this one.
CLASS_FILE = "classes.txt"
# There may be folders of masks beside them.
IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")
WITH_NUMBERS = re.compile(r"(.*?\S)(\s+-?\d+)+")
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
    images = {_stem_of(name) for name in files.images}
    covered = len(images & {_stem_of(name) for name in names})
    is_most = 2 * covered >= len(images) and 3 * len(names) >= len(files.images)
    certainty = RECOGNIZED if is_most else RECOGNIZED / 2
    return Match(NAMED if files.file else certainty, f"{len(names)} XML files with annotations")


def _stem_of(name: str) -> str:
    return folded(posixpath.splitext(posixpath.basename(name))[0])


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
    names, lists = files.with_suffix(".xml"), _list_files(files)
    if files.file is None:  # CVAT's file may be beside those that it exported
        names = [name for name in names if root_tag(files.path(name)) != "annotations"]
    images = _images_by_stem(files)
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
    by_reference = _by_reference(annotated)
    damaged = {problem.path.stem for problem in problems}
    for name, split in lists.items():
        for reference in _references(files, name, by_reference):
            found = _referenced(by_reference, reference, name)
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


def _by_reference(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the XML files by each form in which a list may name them: `a`, `day1/a`, ..."""
    found = defaultdict(list)
    for name in names:
        parts = posixpath.splitext(name)[0].split("/")
        for i in range(len(parts)):
            found["/".join(parts[i:])].append(name)
    return found


def _referenced(by_reference: dict[str, list[str]], reference: str, list_name: str) -> list[str]:
    """Return the XML files that a line of a list names, with or without its folders.

    Of several, those are taken that share the most folders with the list.
    """
    parts = reference.split("/")
    tails = ("/".join(parts[i:]) for i in range(len(parts)))
    found = next((by_reference[tail] for tail in tails if tail in by_reference), [])
    near = {name: shared_parts(name.split("/"), list_name.split("/")) for name in found}
    return [name for name in found if near[name] == max(near.values())]


def _list_files(files: DatasetFiles) -> dict[str, str]:
    """Return the lists of images, such as `ImageSets/Main/train.txt`, and the split of each.

    There may also be a list for each class, such as `bird_train.txt`.
    """
    if files.file is not None:
        return {}
    found = {}
    for name in files.with_suffix(".txt"):
        if split := split_name(PurePosixPath(name).stem, exact=True):
            found[name] = split
    main = {_above(name) for name in found if _is_main(name)}
    # Beside it are those of other tasks, such as `Segmentation/train.txt`.
    found = {n: s for n, s in found.items() if _is_main(n) or _above(n) not in main}
    both = {name for name in found if PurePosixPath(name).stem.lower() == "trainval"}
    trained = {posixpath.dirname(n) for n in found if found[n] == "train" and n not in both}
    return {n: s for n, s in found.items() if n not in both or posixpath.dirname(n) not in trained}


def _is_main(name: str) -> bool:
    return posixpath.basename(posixpath.dirname(name)).lower() == "main"


def _above(name: str) -> str:
    return posixpath.dirname(posixpath.dirname(name))


def _references(files: DatasetFiles, name: str, known: Container[str]) -> list[str]:
    """Return the images that a list names; behind a name there may be numbers, such as its class.

    Args:
        files: the files of the dataset.
        name: the list.
        known: the names that are known as a whole.
    """
    references = []
    for line in filter(None, map(str.strip, files.text(name).splitlines())):
        reference, numbered = _stem(normalized(line)), WITH_NUMBERS.fullmatch(line)
        if numbered and reference not in known:
            reference = _stem(normalized(numbered[1]))
        references.append(reference)
    return references


def _stem(name: str) -> str:
    """Return a reference without its suffix, if it has one; names may have dots."""
    stem, suffix = posixpath.splitext(name)
    return stem if has_image_suffix(name) or suffix.lower() == ".xml" else name


def _images_by_stem(files: DatasetFiles) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name in files.images:
        found[_stem_of(name)].append(name)
    return found


def _read_file(
    files: DatasetFiles, name: str, images: dict[str, list[str]]
) -> AnnotatedImage | Problem:
    path = files.path(name)
    try:
        root = parse_xml(path)
        if root.tag != "annotation":
            raise ValueError(f"it begins with <{root.tag}>, not with <annotation>")
        objects = list(root.iter("object"))
        image = _image_of(files, name, root, images)
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


def _image_of(
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
