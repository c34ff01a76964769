"""Read boxes in the form of COCO: one JSON file for each part of a data set."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cspdarknet.data.detection.annotations import (
    Annotated,
    AnnotatedData,
    Problem,
    child_folder,
    part_folders,
    part_of,
)
from cspdarknet.data.detection.checks import as_text

# Photos that are looked for in each folder that may hold them.
LOOKED_FOR = 20


def read_coco(data: Path) -> AnnotatedData | None:
    """Read a data set of JSON files; return `None` where there are none.

    The files are `annotations/instances_train2017.json` and the like, with the photos in folders
    that are named after the parts; or each part has a folder with its photos and a JSON file; or
    there is a single file, with the photos beside it or in `images`.

    Crowds (`iscrowd`) are ignored boxes. A category without boxes that only groups others, as
    some exporters write, is no class.

    Raises:
        ValueError: if a file cannot be read, is not of this form, or gives an id twice.
    """
    parts: dict[str, list[Annotated]] = {}
    class_names: tuple[str, ...] | None = None
    problems: list[Problem] = []
    for part, path in _files(data).items():
        content = _load(path)
        try:
            photos, names, wrong = _photos(content, path)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{path} is not in the form of COCO: {type(error).__name__} {error}"
            ) from error
        parts[part] = photos
        problems += wrong
        if class_names is None or part == "train":
            class_names = names
    return AnnotatedData(parts, class_names, problems) if parts else None


def _files(data: Path) -> dict[str, Path]:
    """Find the JSON file of each part."""
    if data.is_file():
        return {"train": data} if data.suffix.lower() == ".json" else {}
    if not data.is_dir():
        return {}
    inside = {part: _json_files(folder) for part, folder in part_folders(data).items()}
    if any(inside.values()):
        return {part: files[0] for part, files in inside.items() if files}
    files = _json_files(child_folder(data, "annotations") or data)
    # Captions and keypoints of the same photos may be beside.
    files = [path for path in files if path.stem.startswith("instances")] or files
    named = {part_of(path.stem): path for path in reversed(files)}
    parts = {part: path for part, path in named.items() if part}
    return parts or dict(zip(("train",), files, strict=False))


def _json_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error


def _photos(content: Any, path: Path) -> tuple[list[Annotated], tuple[str, ...], list[Problem]]:
    """Turn the content of a file into photos, classes in the order of their ids, and problems."""
    for kind in ("images", "categories"):
        _refuse_repeats(content[kind], kind)
    by_image = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    used = {annotation["category_id"] for annotation in content["annotations"]}
    names = _classes(content["categories"], used)
    folder = _folder([_name(image) for image in content["images"][:LOOKED_FOR]], path)
    photos = []
    for image in content["images"]:
        found = by_image.pop(image["id"], [])
        photos.append(
            Annotated(
                folder / _name(image),
                [_box(annotation.get("bbox")) for annotation in found],
                [names.get(a["category_id"], f"with id {a['category_id']}") for a in found],
                [annotation.get("iscrowd") in (1, "1") for annotation in found],
                _size(image),
            )
        )
    problems = [
        Problem(path, f"{len(found)} annotations are of an image {key!r} that is not listed")
        for key, found in by_image.items()
    ]
    return photos, tuple(names.values()), problems


def _refuse_repeats(rows: list[dict[str, Any]], kind: str) -> None:
    """Refuse an id that stands for two things, as files that were merged carelessly have."""
    counts = Counter(row["id"] for row in rows)
    if repeated := [key for key, count in counts.items() if count > 1]:
        raise ValueError(f"{len(repeated)} ids of {kind} are given twice, such as {repeated[0]!r}")


def _name(image: dict[str, Any]) -> str:
    return as_text(image["file_name"]).replace("\\", "/")


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = (int(float(image.get(side) or 0)) for side in ("width", "height"))
    return (width, height) if width and height else None


def _classes(categories: list[dict[str, Any]], used: set[Any]) -> dict[Any, str]:
    groups = {category.get("supercategory") for category in categories}
    return {
        category["id"]: as_text(category["name"])
        for category in sorted(categories, key=lambda category: category["id"])
        if category["id"] in used
        or category["name"] not in groups
        or category.get("supercategory") not in (None, "", "none")
    }


def _folder(names: Iterable[str], path: Path) -> Path:
    """Find the folder that the names of the photos in this file start from."""
    subset = path.stem.removeprefix("instances_")
    above = path.parent.parent
    near = (path.parent, path.parent / "images", path.parent / subset)
    far = (above / subset, above / "images" / subset, above / "images", above)
    names = list(names)
    return max((*near, *far), key=lambda place: sum(_is_file(place / name) for name in names))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, for one
        return False


def _box(value: Any) -> tuple[float, float, float, float]:
    """Turn left, top, width and height into a box; NaN stands for what are no numbers."""
    nothing = (math.nan,) * 4
    if not isinstance(value, list) or any(isinstance(number, bool) for number in value):
        return nothing
    try:
        left, top, width, height = map(float, value)
    except (TypeError, ValueError, OverflowError):
        return nothing
    return left, top, left + width, top + height
