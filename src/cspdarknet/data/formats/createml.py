"""CreateML: JSON files with a list of images and their boxes, given by center and size."""

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
    as_list,
    as_mapping,
    as_number,
    as_text,
    centered_box,
)

# Apple's examples have several names for both keys.
IMAGE_KEYS = ("image", "imagefilename", "imageFilename", "imageFileName")
ANNOTATION_KEYS = ("annotations", "annotation")
BOX_KEYS = ("x", "y", "width", "height")
LOOKED_AT = 3


def match(files: DatasetFiles) -> Match | None:
    """Match JSON files with a list of images and their annotations."""
    names = json_files(files, _is_createml, few=True)
    return match_files(files, names, RELATED, "lists images and annotations")


def _is_createml(content: Any) -> bool:
    entries = list(islice(content, LOOKED_AT)) if isinstance(content, list) else []
    return bool(entries) and all(
        isinstance(entry, dict) and _key(entry, IMAGE_KEYS) and _key(entry, ANNOTATION_KEYS)
        for entry in entries
    )


def _key(entry: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in entry), None)


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the boxes of CreateML's JSON files.

    Raises:
        ValueError: if no file is in the format.
    """
    return read_listed(files, json_files(files, _is_createml), _read_file)


def _read_file(files: DatasetFiles, name: str) -> Listing:
    listing = Listing()
    entries = ((f"entry {i}", entry) for i, entry in enumerate(files.json(name), 1))
    listing.read(files.path(name), entries, _reference, _image)
    return listing


def _reference(entry: Any) -> str:
    key = _key(as_mapping(entry, "an entry"), IMAGE_KEYS)
    return as_text(entry[key] if key else None, "`image`")


def _image(reference: str, entry: dict[str, Any]) -> ListedImage:
    key = _key(entry, ANNOTATION_KEYS)
    annotations = as_list(entry[key] if key else None, "`annotations`")
    return ListedImage(reference, read_objects(annotations, "annotation", _object))


def _object(value: Any) -> tuple[str, Box]:
    annotation = as_mapping(value, "an annotation")
    coordinates = as_mapping(annotation.get("coordinates"), "`coordinates`")
    x, y, width, height = (as_number(coordinates.get(key), f"`{key}`") for key in BOX_KEYS)
    return as_text(annotation.get("label"), "`label`"), centered_box(x, y, width, height)


CREATEML = Format(
    "CreateML",
    "detection",
    "JSON files such as train/_annotations.createml.json, with the images beside them",
    match,
    read,
)
