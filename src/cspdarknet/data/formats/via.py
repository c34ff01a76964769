"""VIA (VGG Image Annotator): JSON files of images with regions."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import RELATED, Format, Match
from cspdarknet.data.formats.listed import (
    ListedImage,
    Listing,
    json_files,
    match_files,
    read_listed,
    read_objects,
)
from cspdarknet.data.formats.values import (
    Box,
    as_mapping,
    as_number,
    as_numbers,
    as_text,
    box_around,
    ellipse_box,
)

PROJECT = "_via_img_metadata"
# Attributes of regions that name the class where there are several, the first that is there.
CLASS_ATTRIBUTES = ("class", "label", "name", "type", "class_name", "category", "object_name")
WITHOUT_BOX = ("point", "polyline")
LOOKED_AT = 3
SHOWN_LENGTH = 100


def match(files: DatasetFiles) -> Match | None:
    """Match JSON files of projects and of exported annotations."""
    names = json_files(files, _is_via, few=True)
    return match_files(files, names, RELATED, "lists regions of images")


def _is_via(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    if isinstance(content.get(PROJECT), dict):
        return True
    images = list(islice(content.values(), LOOKED_AT))
    return bool(images) and all(
        isinstance(image, dict) and "filename" in image and "regions" in image for image in images
    )


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the regions of VIA's JSON files: rectangles, and the boxes of polygons and ellipses.

    The class of a region is its only attribute, or that named `class`, `label`, `name` or `type`.

    Raises:
        ValueError: if a file is not in the format, or no attribute is the class.
    """
    return read_listed(files, json_files(files, _is_via), _read_file)


def _read_file(files: DatasetFiles, name: str) -> Listing:
    content = files.json(name)
    images = content[PROJECT] if isinstance(content.get(PROJECT), dict) else content
    attribute = _class_attribute(images)
    if attribute is None:
        raise ValueError(
            f"{files.path(name)} has several attributes of regions, and none is named "
            f"{', '.join(CLASS_ATTRIBUTES)}. Name the attribute that is the class so."
        )
    listing = Listing()
    entries = ((f"entry {key[:SHOWN_LENGTH]}", image) for key, image in images.items())
    image = partial(_image, attribute=attribute)
    listing.read(files.path(name), entries, _reference, image)
    return listing


def _class_attribute(images: dict[str, Any]) -> str | None:
    """Return the attribute that is the class in all regions, empty if regions have none."""
    found = {
        key: None
        for image in images.values()
        if isinstance(image, dict)
        for region in _values(image.get("regions"))
        if isinstance(region, dict) and isinstance(region.get("region_attributes"), dict)
        for key in region["region_attributes"]
    }
    if len(found) < 2:
        return next(iter(found), "")
    by_name = {key.strip().lower().replace(" ", "_"): key for key in reversed(found)}
    return next((by_name[name] for name in CLASS_ATTRIBUTES if name in by_name), None)


def _values(regions: Any) -> Iterator[Any]:
    """Yield the regions of an image: a list, or in older versions a mapping."""
    if isinstance(regions, (list, dict)):
        yield from regions.values() if isinstance(regions, dict) else regions


def _reference(image: Any) -> str:
    return as_text(as_mapping(image, "an image").get("filename"), "`filename`")


def _image(reference: str, image: dict[str, Any], attribute: str) -> ListedImage:
    regions = image.get("regions")
    if not isinstance(regions, (list, dict)):
        raise ValueError(f"`regions` must be a list. Received: {type(regions).__name__}")
    read = partial(_region, attribute=attribute)
    return ListedImage(reference, read_objects(_values(regions), "region", read))


def _region(value: Any, attribute: str) -> tuple[str, Box | None]:
    region = as_mapping(value, "a region")
    shape = as_mapping(region.get("shape_attributes"), "`shape_attributes`")
    kind = as_text(shape.get("name"), "the name of the shape")
    if kind in WITHOUT_BOX:
        return kind, None
    return _class(region, attribute), _box(shape, kind)


def _class(region: dict[str, Any], attribute: str) -> str:
    attributes = as_mapping(region.get("region_attributes"), "`region_attributes`")
    value = attributes.get(attribute)
    if isinstance(value, dict):  # check boxes
        checked = [key for key, is_checked in value.items() if is_checked is True]
        if len(checked) != 1:
            raise ValueError(f"{attribute!r} must have one value. Received: {len(checked)}")
        value = checked[0]
    return as_text(value, f"the class, the attribute {attribute!r}," if attribute else "the class")


def _box(shape: dict[str, Any], kind: str) -> Box:
    def number(key: str) -> float:
        return as_number(shape.get(key), f"`{key}`")

    if kind == "rect":
        x, y = number("x"), number("y")
        return x, y, x + number("width"), y + number("height")
    if kind == "polygon":
        keys = ("all_points_x", "all_points_y")
        return box_around(*(as_numbers(shape.get(key), f"`{key}`") for key in keys))
    if kind == "circle":
        return ellipse_box(number("cx"), number("cy"), number("r"), number("r"))
    if kind == "ellipse":
        angle = as_number(shape.get("theta", 0), "`theta`")  # in radians
        return ellipse_box(number("cx"), number("cy"), number("rx"), number("ry"), angle)
    raise ValueError(f"the shape must be a rect, polygon, circle or ellipse. Received: {kind[:40]}")


VIA = Format(
    "VIA",
    "detection",
    "JSON files of the VGG Image Annotator, with the images beside them",
    match,
    read,
)
