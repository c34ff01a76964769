"""LabelMe: a JSON file of shapes for each image."""

import math
import posixpath
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles, is_file, read_json
from cspdarknet.data.formats.format import NAMED, RELATED, Format, Match
from cspdarknet.data.formats.listed import (
    ListedImage,
    annotated,
    few_of_each_folder,
    read_objects,
    without_box,
)
from cspdarknet.data.formats.merging import ambiguous, split_of_folder
from cspdarknet.data.formats.values import (
    Box,
    as_list,
    as_mapping,
    as_numbers,
    as_size,
    as_text,
    box_around,
    ellipse_box,
)
from cspdarknet.data.problems import Problem

WITH_BOX = ("rectangle", "polygon", "circle", "mask", "rotation")  # the last of X-AnyLabeling
WITHOUT_BOX = ("point", "points", "line", "linestrip", "cuboid")


def match(files: DatasetFiles) -> Match | None:
    """Match JSON files with shapes."""
    names = files.with_suffix(".json")
    sample = few_of_each_folder(names)
    count = sum(_is_labelme(_content(files, name, sample)) for name in sample)
    if not count:
        return None
    # A few files beside many images are no dataset.
    folders = {posixpath.dirname(name) for name in names}
    beside = [name for name in files.images if posixpath.dirname(name) in folders]
    covered = len(names) * count / len(sample) / max(1, len(beside or files.images))
    certainty = RELATED if covered > 0.5 else RELATED / 2
    reason = f"{len(names)} JSON files with shapes"
    return Match(NAMED if files.file is not None else certainty, reason)


def _content(files: DatasetFiles, name: str, sample: Collection[str]) -> Any:
    """Return the content of a JSON file, or the error that it is not one.

    It may have the whole image in it, and is kept only if the file is in the sample, which the
    readers of other formats have looked at, too.
    """
    try:
        return files.json(name) if name in sample else read_json(files.path(name))
    except ValueError as error:
        return error


def _is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and "shapes" in content and "imagePath" in content


def read(files: DatasetFiles) -> Annotations[AnnotatedImage]:
    """Read the shapes of LabelMe's JSON files: rectangles, and the boxes of polygons and circles.

    A JSON file belongs to the image that it names in `imagePath`, or else to that of its own name.

    Raises:
        ValueError: if the user named a file that is not in the format.
    """
    listed: dict[str, dict[str, ListedImage]] = defaultdict(dict)
    problems, used = [], set[Path]()
    names = files.with_suffix(".json")
    sample = set(few_of_each_folder(names))
    for name in names:
        content = _content(files, name, sample)
        path = files.path(name)
        if isinstance(content, ValueError) or _is_labelme(content):
            try:
                listed[posixpath.dirname(name)][name] = _image(content)
            except ValueError as error:
                problems.append(Problem("malformed annotation", path, str(error)))
            used.add(path)
    if files.file is not None and (problems or not used):
        reason = problems[0].reason if problems else "it must have `shapes` and `imagePath`"
        raise ValueError(f"{files.path(files.file)} is not in the LabelMe format: {reason}.")
    splits: dict[str, list[AnnotatedImage]] = {}
    for folder, images in listed.items():
        for name, found in _located(files, folder, images).items():
            image, split = images[name], split_of_folder(name) or "train"
            problems += without_box(files.path(name), [image])
            if found is None:
                problems.append(ambiguous(files.path(name), image.reference))
            else:
                splits.setdefault(split, []).append(annotated(found, image))
    return Annotations(splits, None, problems, frozenset(used))


def _located(
    files: DatasetFiles, folder: str, images: dict[str, ListedImage]
) -> dict[str, Path | None]:
    """Return the image file of each JSON file of a folder."""
    found: dict[str, Path | None] = {}
    by_split: dict[str | None, list[str]] = defaultdict(list)
    for name in images:
        by_split[split_of_folder(name)].append(name)
    for split, names in by_split.items():
        paths = files.locate([images[name].reference for name in names], folder, split)
        found |= zip(names, paths, strict=True)
        # Images are renamed together with their JSON files, which then name what they were.
        lost = [name for name in names if (path := found[name]) and not is_file(path)]
        stems = [posixpath.splitext(posixpath.basename(name))[0] for name in lost]
        for name, path in zip(lost, files.locate(stems, folder, split), strict=True):
            if path is not None and is_file(path):
                found[name] = path
    return found


def _image(content: Any) -> ListedImage:
    if isinstance(content, ValueError):
        raise content
    shapes = as_list(content["shapes"], "`shapes`")
    objects = read_objects(shapes, "shape", _object)
    size = as_size(content.get("imageWidth"), content.get("imageHeight"))
    return ListedImage(as_text(content["imagePath"], "`imagePath`"), objects, size)


def _object(value: Any) -> tuple[str, Box | None]:
    shape = as_mapping(value, "a shape")
    kind = as_text(shape.get("shape_type") or "polygon", "`shape_type`")  # polygons had no type
    if kind in WITHOUT_BOX:
        return kind, None
    if kind not in WITH_BOX:
        raise ValueError(f"the shape must be one of {', '.join(WITH_BOX)}. Received: {kind[:40]}")
    points = [as_numbers(point, "a point") for point in as_list(shape.get("points"), "`points`")]
    if len(points) < 2 or any(len(point) != 2 for point in points):
        raise ValueError("`points` must have two points or more, each of two numbers")
    label = as_text(shape.get("label"), "`label`")
    if kind == "circle":  # its center, and a point on it
        (x, y), radius = points[0], math.dist(points[0], points[1])
        return label, ellipse_box(x, y, radius, radius)
    return label, box_around([x for x, _ in points], [y for _, y in points])


LABELME = Format(
    "LabelMe",
    "detection",
    "a JSON file of LabelMe for each image",
    match,
    read,
)
