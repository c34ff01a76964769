"""CVAT for images: XML files that list images with boxes, polygons and other shapes."""

import math
from xml.etree.ElementTree import Element

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import MAX_TEXT_BYTES, DatasetFiles
from cspdarknet.data.formats.format import RELATED, Format, Match
from cspdarknet.data.formats.listed import (
    ListedImage,
    Listing,
    few_of_each_folder,
    match_files,
    read_listed,
    read_objects,
)
from cspdarknet.data.formats.values import (
    Box,
    as_number,
    as_size,
    as_text,
    box_around,
    ellipse_box,
    rotated_box,
)
from cspdarknet.data.formats.xml import parse_xml, root_tag
from cspdarknet.data.problems import Problem, count_of
from cspdarknet.data.splits import split_name

WITH_BOX = ("box", "polygon", "ellipse", "mask")
WITHOUT_BOX = ("polyline", "points", "cuboid", "skeleton", "tag")
UNREADABLE = (ValueError, OSError)


def match(files: DatasetFiles) -> Match | None:
    """Match XML files whose root is `annotations`, as those of CVAT."""
    names = few_of_each_folder(files.with_suffix(".xml"))
    return match_files(files, _of_cvat(files, names), RELATED, "is an XML file of CVAT")


def _of_cvat(files: DatasetFiles, names: list[str]) -> list[str]:
    return [name for name in names if root_tag(files.path(name)) == "annotations"]


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the boxes of CVAT's XML files, and those around polygons, ellipses and masks.

    The classes are the labels that the file declares. The split of an image is its `subset`.

    Raises:
        ValueError: if a file is not XML of CVAT, or describes a video.
    """
    return read_listed(files, _of_cvat(files, files.with_suffix(".xml")), _read_file)


def _read_file(files: DatasetFiles, name: str) -> Listing:
    path = files.path(name)
    try:
        root = parse_xml(path, MAX_TEXT_BYTES)
    except UNREADABLE as error:
        raise ValueError(f"{path} is not in the CVAT format: {error}.") from error
    images = root.findall("image")
    listing = Listing(class_names=_class_names(root))
    if tracks := len(root.findall("track")):
        reason = f"{count_of(tracks, 'track')} of a video: export the task as `CVAT for images`"
        if not images:
            raise ValueError(f"{path} has no images, but {reason}.")
        listing.problems.append(Problem("malformed annotation", path, f"it has {reason}"))
    entries = ((f"image {i}", image) for i, image in enumerate(images, 1))
    listing.read(path, entries, _reference, _image)
    return listing


def _class_names(root: Element) -> list[str]:
    """Return the declared labels, without those of shapes that have no box."""
    return [
        (label.findtext("name") or "").strip()
        for label in root.iterfind("meta/*/labels/label")
        if label.findtext("type") not in WITHOUT_BOX and label.find("parent") is None
    ]


def _reference(image: Element) -> str:
    return as_text(image.get("name"), "`name`")


def _image(reference: str, image: Element) -> ListedImage:
    objects = read_objects(image, "shape", _object)
    subset = image.get("subset") or "default"
    split = split_name(subset)
    if split is None and subset.lower() != "default":
        raise ValueError(f"the subset must be train, validation or test. Received: {subset!r}")
    return ListedImage(reference, objects, as_size(image.get("width"), image.get("height")), split)


def _object(shape: Element) -> tuple[str, Box | None]:
    if shape.tag in WITHOUT_BOX:
        return shape.tag, None
    if shape.tag not in WITH_BOX:
        raise ValueError(f"it must be one of {', '.join(WITH_BOX)}. Received: {shape.tag[:40]}")
    return as_text(shape.get("label"), "`label`"), _box(shape)


def _box(shape: Element) -> Box:
    def numbers(*keys: str) -> tuple[float, ...]:
        return tuple(as_number(shape.get(key), f"`{key}`") for key in keys)

    angle = math.radians(as_number(shape.get("rotation", 0), "`rotation`"))
    if shape.tag == "box":
        left, top, right, bottom = numbers("xtl", "ytl", "xbr", "ybr")
        box = (left, top, right, bottom)
        return rotated_box(box, angle) if angle else box
    if shape.tag == "ellipse":
        x, y, radius_x, radius_y = numbers("cx", "cy", "rx", "ry")
        return ellipse_box(x, y, radius_x, radius_y, angle)
    if shape.tag == "mask":
        left, top, width, height = numbers("left", "top", "width", "height")
        return left, top, left + width, top + height
    pairs = [point.split(",") for point in (shape.get("points") or "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("`points` must be pairs of numbers, such as 1,2;3,4")
    xs, ys = ([as_number(pair[i], "a point") for pair in pairs] for i in (0, 1))
    return box_around(xs, ys)


CVAT = Format(
    "CVAT",
    "detection",
    "an annotations.xml of `CVAT for images`, with its images",
    match,
    read,
)
