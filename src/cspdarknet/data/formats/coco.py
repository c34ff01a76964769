"""COCO: JSON files that list images, categories and the boxes of all images."""

import math
import posixpath
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles, as_name
from cspdarknet.data.formats.format import NAMED, RECOGNIZED, UNLIKELY, Format, Match
from cspdarknet.data.formats.merging import MergedFiles, ambiguous, in_reading_order
from cspdarknet.data.formats.rle import Box, rle_box
from cspdarknet.data.problems import Problem, count_of

KEYS = ("images", "annotations", "categories")
# A folder of more JSON files has one for each image: only some are looked at.
MAX_FILES = 50
IGNORED = ("iscrowd", "ignore")
MALFORMED = (KeyError, TypeError, AttributeError, ValueError, OverflowError)


def match(files: DatasetFiles) -> Match | None:
    """Match JSON files with the keys of COCO."""
    names, damaged = _coco_files(files)
    if names:
        reason = f"{names[0]} lists images, categories and annotations"
        return Match(RECOGNIZED if files.file is None else NAMED, reason)
    if damaged:
        return Match(UNLIKELY, f"{damaged[0]} is a JSON file")
    return None


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the boxes of COCO files.

    Crowds (`iscrowd`) and boxes with `ignore` are ignored boxes. A category without boxes that only
    groups others, as some exporters write, is not a class. Several files of a split are merged. Of
    files that describe the same images, as COCO's captions and key points, one is read.

    Raises:
        ValueError: if a file is damaged or gives an id twice, or if two files of a split describe
            some of the same images.
    """
    names, damaged = _coco_files(files)
    if not names:
        raise ValueError(_not_coco(files, damaged))
    merged = MergedFiles(files)
    merged.problems += [
        Problem("malformed annotation", files.path(name), "it is not a JSON file")
        for name in damaged
    ]
    for split, name in in_reading_order(names, files):
        content = files.json(name)
        try:
            references = [_file_name(image) for image in content["images"]]
            paths = files.locate(references, posixpath.dirname(name), split)
            if merged.claims(split, name, references, paths):
                merged.add(split, *_images(content, references, paths, files.path(name)))
        except MALFORMED as error:
            what = f"an entry has no {error}" if isinstance(error, KeyError) else str(error)
            what = what if isinstance(error, (KeyError, ValueError)) else f"wrong types ({error})"
            raise ValueError(f"{files.path(name)} is not in the COCO format: {what}.") from error
    return merged.annotations()


def _not_coco(files: DatasetFiles, damaged: list[str]) -> str:
    keys = ", ".join(f"`{key}`" for key in KEYS)
    if not damaged:
        return f"{files.root} has no JSON file in the COCO format, which must have {keys}."
    try:
        files.json(damaged[0])
    except ValueError as error:
        return str(error)
    return f"{files.path(damaged[0])} is not in the COCO format: it must have {keys}."


def _coco_files(files: DatasetFiles) -> tuple[list[str], list[str]]:
    """Return the JSON files in the format, and those that only seem to be meant so."""
    by_folder = defaultdict(list)
    for name in files.with_suffix(".json"):
        by_folder[posixpath.dirname(name)].append(name)
    good, damaged = [], []
    for names in by_folder.values():
        sampled = names if len(names) <= MAX_FILES else names[:3]
        for name in sampled:
            try:
                content = files.json(name)
            except ValueError:
                damaged.append(name)
                continue
            if isinstance(content, dict) and all(key in content for key in KEYS):
                good.append(name)
            elif files.file is not None:
                damaged.append(name)
    return good, damaged


def _images(
    content: Any, references: list[str], paths: Sequence[Path | None], path: Path
) -> tuple[list[AnnotatedImage], list[str], list[Problem]]:
    """Return the images of a file, its classes in the order of their ids, and its problems."""
    for kind in ("images", "categories"):
        _check_ids(content[kind], kind)
    by_image = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[_id(annotation["image_id"])].append(annotation)
    used = {_id(annotation["category_id"]) for annotation in content["annotations"]}
    names = _class_names(content["categories"], used)
    images, problems = [], []
    for image, reference, image_path in zip(content["images"], references, paths, strict=True):
        annotations = by_image.pop(_id(image["id"]), [])
        if image_path is None:
            problems.append(ambiguous(path, reference))
            continue
        images.append(
            AnnotatedImage(
                image_path,
                [_box(item) for item in annotations],
                [names.get(i, f"id {i}") for i in (_id(a["category_id"]) for a in annotations)],
                [any(item.get(key) in (1, "1") for key in IGNORED) for item in annotations],
                _size(image),
            )
        )
    problems += [
        Problem(
            "malformed annotation",
            path,
            f"{count_of(len(items), 'annotation')} of the image id {key!r}, which is not listed",
        )
        for key, items in by_image.items()
    ]
    return images, list(names.values()), problems


def _check_ids(rows: list[dict[str, Any]], kind: str) -> None:
    """Raise an error for duplicate ids, which careless merging of files produces."""
    counts = Counter(_id(row["id"]) for row in rows)
    if repeated := [key for key, count in counts.items() if count > 1]:
        raise ValueError(f"{len(repeated)} ids of {kind} are given twice, such as {repeated[0]!r}")


def _id(value: Any) -> Any:
    """Return an id as a number if it is one: some files give it as text in one place only."""
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    return int(value) if is_number else value


def _file_name(image: dict[str, Any]) -> str:
    if "file_name" not in image and "coco_url" in image:  # LVIS has its address instead
        return "/".join(as_name(image["coco_url"]).split("/")[-2:])
    return as_name(image["file_name"])


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = (int(float(image.get(side) or 0)) for side in ("width", "height"))
    return (width, height) if width and height else None


def _class_names(categories: list[dict[str, Any]], used: set[Any]) -> dict[Any, str]:
    """Return the names of the classes by category id, in the order of the ids."""
    groups = {category.get("supercategory") for category in categories}
    return {
        _id(category["id"]): as_name(category["name"])
        for category in sorted(categories, key=lambda category: _id(category["id"]))
        if _id(category["id"]) in used
        or category["name"] not in groups
        or category.get("supercategory") not in (None, "", "none")
    }


def _box(annotation: dict[str, Any]) -> Box:
    """Return the box of an annotation, of NaN where it has none.

    It is `bbox` (left, top, width and height), or that around the mask in `segmentation`.
    """
    box = annotation.get("bbox")
    numbers = _numbers(box)
    if len(numbers) == 4:
        left, top, width, height = numbers
        return left, top, left + width, top + height
    if box in (None, []):
        return _mask_box(annotation.get("segmentation")) or (math.nan,) * 4
    return (math.nan,) * 4


def _mask_box(mask: Any) -> Box | None:
    """Return the box around a mask: a list of polygons, or run-length encoded."""
    if isinstance(mask, dict):
        return rle_box(mask)
    if not isinstance(mask, list):
        return None
    corners = [_numbers(polygon) for polygon in mask]
    xs, ys = ([v for c in corners for v in c[start::2]] for start in (0, 1))
    return (min(xs), min(ys), max(xs), max(ys)) if len(xs) == len(ys) >= 2 else None


def _numbers(value: Any) -> list[float]:
    if not isinstance(value, list) or any(isinstance(number, bool) for number in value):
        return []
    try:
        return [float(number) for number in value]
    except (TypeError, ValueError, OverflowError):
        return []


COCO = Format(
    "COCO",
    "detection",
    "JSON files such as annotations/instances_train.json, with folders of images",
    match,
    read,
)
