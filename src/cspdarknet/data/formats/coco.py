"""Reader of COCO: one JSON file of boxes for each split."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cspdarknet.data.annotations import AnnotatedImage, Annotations, Problem
from cspdarknet.data.formats.reading import as_name, child_folder, split_folders
from cspdarknet.data.splits import split_name

# Number of images that are looked up in each folder that may hold them.
LOOKED_UP = 20


def read_coco(data: Path) -> Annotations[AnnotatedImage] | None:
    """Read a dataset in the COCO format.

    The files are `annotations/instances_train2017.json` and the like, with the images in folders
    that are named after the splits; or each split has a folder with its images and a JSON file; or
    there is a single file, with the images beside it or in `images`.

    Crowds (`iscrowd`) are ignored boxes. A category without boxes that only groups others, as
    some exporters write, is not a class.

    Args:
        data: the folder or JSON file.

    Returns:
        The images by split, or `None` if there are no JSON files.

    Raises:
        ValueError: if a file cannot be read, is not in this format, or has an id twice.
    """
    splits: dict[str, list[AnnotatedImage]] = {}
    class_names: tuple[str, ...] | None = None
    problems: list[Problem] = []
    for split, path in _files(data).items():
        content = _load(path)
        try:
            splits[split], names, unlisted = _images(content, path)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{path} is not in the COCO format: {type(error).__name__} {error}"
            ) from error
        problems += unlisted
        if class_names is None or split == "train":
            class_names = names
    return Annotations(splits, class_names, problems) if splits else None


def _files(data: Path) -> dict[str, Path]:
    """Return the JSON file of each split."""
    if data.is_file():
        return {"train": data} if data.suffix.lower() == ".json" else {}
    if not data.is_dir():
        return {}
    by_split = {split: _json_files(folder) for split, folder in split_folders(data).items()}
    if any(by_split.values()):
        return {split: files[0] for split, files in by_split.items() if files}
    files = _json_files(child_folder(data, "annotations") or data)
    # There may be captions and keypoints of the same images too.
    files = [path for path in files if path.stem.startswith("instances")] or files
    named = {split_name(path.stem): path for path in reversed(files)}
    splits = {split: path for split, path in named.items() if split}
    return splits or dict(zip(("train",), files, strict=False))


def _json_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error


def _images(
    content: Any, path: Path
) -> tuple[list[AnnotatedImage], tuple[str, ...], list[Problem]]:
    """Return the images of a file, its classes in the order of their ids, and its problems."""
    for kind in ("images", "categories"):
        _check_ids(content[kind], kind)
    by_image = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    used = {annotation["category_id"] for annotation in content["annotations"]}
    names = _class_names(content["categories"], used)
    folder = _folder([_file_name(image) for image in content["images"][:LOOKED_UP]], path)
    images = []
    for image in content["images"]:
        annotations = by_image.pop(image["id"], [])
        images.append(
            AnnotatedImage(
                folder / _file_name(image),
                [_box(item.get("bbox")) for item in annotations],
                [names.get(i, f"id {i}") for i in (a["category_id"] for a in annotations)],
                [item.get("iscrowd") in (1, "1") for item in annotations],
                _size(image),
            )
        )
    problems = [
        Problem(path, f"{len(items)} annotations are of the image id {key!r}, which is not listed")
        for key, items in by_image.items()
    ]
    return images, tuple(names.values()), problems


def _check_ids(rows: list[dict[str, Any]], kind: str) -> None:
    """Raise an error for duplicate ids, which careless merging of files produces."""
    counts = Counter(row["id"] for row in rows)
    if repeated := [key for key, count in counts.items() if count > 1]:
        raise ValueError(f"{len(repeated)} ids of {kind} are given twice, such as {repeated[0]!r}")


def _file_name(image: dict[str, Any]) -> str:
    return as_name(image["file_name"]).replace("\\", "/")


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = (int(float(image.get(side) or 0)) for side in ("width", "height"))
    return (width, height) if width and height else None


def _class_names(categories: list[dict[str, Any]], used: set[Any]) -> dict[Any, str]:
    """Return the names of the classes by category id, in the order of the ids."""
    groups = {category.get("supercategory") for category in categories}
    return {
        category["id"]: as_name(category["name"])
        for category in sorted(categories, key=lambda category: category["id"])
        if category["id"] in used
        or category["name"] not in groups
        or category.get("supercategory") not in (None, "", "none")
    }


def _folder(names: Sequence[str], path: Path) -> Path:
    """Return the folder that most of these file names of a JSON file are relative to."""
    subset = path.stem.removeprefix("instances_")
    above = path.parent.parent
    near = (path.parent, path.parent / "images", path.parent / subset)
    far = (above / subset, above / "images" / subset, above / "images", above)
    return max((*near, *far), key=lambda folder: sum(_is_file(folder / name) for name in names))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, for one
        return False


def _box(value: Any) -> tuple[float, float, float, float]:
    """Turn left, top, width and height into a box, of NaN where they are not four numbers."""
    invalid = (math.nan,) * 4
    if not isinstance(value, list) or any(isinstance(number, bool) for number in value):
        return invalid
    try:
        left, top, width, height = map(float, value)
    except (TypeError, ValueError, OverflowError):
        return invalid
    return left, top, left + width, top + height
