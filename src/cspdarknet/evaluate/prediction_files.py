"""Reading of detections that any tool wrote as JSON in COCO's form, for the images of a dataset."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cspdarknet._arguments import is_number
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.problems import count_of
from cspdarknet.detections import Detections
from cspdarknet.evaluate.image_names import ImageNames
from cspdarknet.images import ImageError, image_size
from cspdarknet.yolox.coco_names import COCO_CATEGORY_IDS, COCO_NAMES

KEYS = ("image_id", "category_id", "bbox", "score")
SHOWN = 5  # entries in a message
BORDER = 1.0  # pixels by which a box may reach beyond its image, before it counts as outside


@dataclass(frozen=True)
class CocoIds:
    """The ids in a COCO file.

    Attributes:
        origin: the file, for messages.
        images: names of the image files by id.
        categories: names of the categories by id.
    """

    origin: str
    images: Mapping[Any, str]
    categories: Mapping[Any, str]


class FilePredictions(NamedTuple):
    """Detections of a file for the images of a dataset.

    Attributes:
        dataset: the images whose size is known, with their annotations.
        detections: the detections in each of them.
        errors: why the other images could not be read, by path.
        notes: what was left out, and what looks wrong.
    """

    dataset: DetectionDataset
    detections: tuple[Detections, ...]
    errors: dict[Path, str]
    notes: list[str]


class _Row(NamedTuple):
    """One detection: index of its image, class id, box and confidence."""

    image: int
    class_id: int
    xyxy: tuple[float, float, float, float]
    score: float


def read_predictions(
    path: str | Path,
    dataset: DetectionDataset,
    *,
    coco_annotations: str | Path | None = None,
    category_names: Mapping[int, str] | None = None,
) -> FilePredictions:
    """Read detections from a JSON file that any tool wrote, for the images of a dataset.

    The file is a list in COCO's results format (`image_id`, `category_id`, `bbox` as left, top,
    width and height in pixels, and `score`), or a document with such a list in `annotations`, and
    with `images` and `categories`. An `image_id` may be the name of an image, with or without its
    suffix, or the number in it. Detections in other images, and of classes that the dataset lacks,
    are left out.

    Args:
        path: the file.
        dataset: the images with their boxes.
        coco_annotations: the COCO file whose ids of images and categories a list has.
        category_names: names of the categories by id; `None` for those of the document, or of
            `coco_annotations`, or of COCO if the classes are COCO's.

    Raises:
        ValueError: if the file is of another form, its ids are unknown, or none of its images or
            classes is in the dataset.

    Example:
        >>> Image.new("RGB", (64, 48)).save("7.png")
        >>> boxes, labels = np.array([[10, 10, 50, 40]], "float32"), np.array([0])
        >>> columns = (Path("7.png"),), (boxes,), (labels,), (labels > 0,)
        >>> dataset = DetectionDataset(("ship",), *columns)
        >>> row = {"image_id": 7, "category_id": 1, "bbox": [10, 10, 40, 30], "score": 0.9}
        >>> _ = Path("results.json").write_text(json.dumps([row]))
        >>> read_predictions("results.json", dataset, category_names={1: "ship"}).detections
        (Detections(1 ship; image_size=(48, 64)),)
    """
    path = Path(path)
    rows, own_ids = _read(path)
    ids = own_ids
    if ids is None and coco_annotations is not None:
        ids = read_coco_ids(coco_annotations)
    names = category_names or _category_names(ids, dataset.class_names)
    found, notes = _match(path, rows, dataset, ids, names)
    return _by_image(dataset, found, notes)


def read_coco_ids(path: str | Path) -> CocoIds:
    """Return the ids of images and categories in a COCO file.

    Raises:
        ValueError: if it is another file.
    """
    content = _json(Path(path))
    ids = _ids(content, str(path)) if isinstance(content, dict) else None
    if ids is None:
        raise ValueError(
            f"{path} must be a COCO file with `images` and `categories`. Received: another one."
        )
    return ids


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{path} must be a JSON file. Received: {reason}.") from error


def _ids(content: dict[str, Any], origin: str) -> CocoIds | None:
    try:
        images = {_id(row["id"]): str(row["file_name"]) for row in content["images"]}
        categories = {_id(row["id"]): str(row["name"]) for row in content["categories"]}
    except (KeyError, TypeError):
        return None
    return CocoIds(origin, images, categories)


def _id(value: Any) -> Any:
    """Return an id as a number if it is one: some tools write it as text, or as a float."""
    if isinstance(value, str) and value.isdecimal() and str(int(value)) == value:
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read(path: Path) -> tuple[list[dict[str, Any]], CocoIds | None]:
    """Return the detections in a file, and its ids if it has some."""
    content = _json(path)
    ids = _ids(content, str(path)) if isinstance(content, dict) else None
    rows = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise ValueError(
            f"{path} must be a list of detections with {', '.join(KEYS)}; or a document with such "
            f"a list in `annotations`. Received: a {type(content).__name__}."
        )
    for i, row in enumerate(rows):
        if reason := _fault(row):
            raise ValueError(
                f"Each detection in {path} must have {', '.join(KEYS)}: bbox is [left, top, width, "
                f"height] in pixels, and score is in 0..1. Received: entry {i}, {reason}."
            )
    return rows, ids


def _fault(row: Any) -> str | None:
    """Return what is wrong with a detection."""
    if not isinstance(row, dict):
        return f"a {type(row).__name__}"
    if missing := [key for key in KEYS if key not in row]:
        return f"without {', '.join(missing)}"
    box, score = row["bbox"], row["score"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        return f"bbox={box!r}"
    if min(box[2:]) < 0:
        return f"bbox={box!r} of a negative size"
    if not is_number(score) or not 0 <= score <= 1:
        return f"score={score!r}"
    unhashable = [key for key in KEYS[:2] if not isinstance(row[key], (str, int, float))]
    return f"{unhashable[0]}={row[unhashable[0]]!r}" if unhashable else None


def _category_names(ids: CocoIds | None, class_names: Sequence[str]) -> Mapping[Any, str]:
    if ids is not None:
        return ids.categories
    if tuple(class_names) == COCO_NAMES:
        return dict(zip(COCO_CATEGORY_IDS, COCO_NAMES, strict=True))
    return {}


def _match(
    path: Path,
    rows: Sequence[dict[str, Any]],
    dataset: DetectionDataset,
    ids: CocoIds | None,
    names: Mapping[Any, str],
) -> tuple[list[_Row], list[str]]:
    """Return the detections in images and of classes of the dataset, and what is left out."""
    if unnamed := {_id(row["category_id"]) for row in rows} - set(names):
        raise ValueError(_unnamed(path, unnamed, dataset.class_names, names))
    references = {} if ids is None else ids.images
    numbers = {i for i in (_id(row["image_id"]) for row in rows) if not isinstance(i, str)}
    if ids is not None and (unknown := numbers - set(references)):
        raise ValueError(
            f"The image ids in {path} must be those of {ids.origin}. Received: {_some(unknown)}. "
            "Pass the COCO file that has them as `--coco-annotations`."
        )
    images, labels = ImageNames(dataset.paths), {n: i for i, n in enumerate(dataset.class_names)}
    found: list[_Row] = []
    ids_of_images: dict[int, Any] = {}
    other_classes: Counter[str] = Counter()
    other_images: Counter[Any] = Counter()
    for row in rows:
        image_id, name = _id(row["image_id"]), names[_id(row["category_id"])]
        image = images.index(references.get(image_id, image_id))
        if name not in labels:
            other_classes[name] += 1
        elif image is None:
            other_images[image_id] += 1
        else:
            if (first := ids_of_images.setdefault(image, image_id)) != image_id:
                raise ValueError(
                    f"Each image must have one id in {path}. Received: {first!r} and {image_id!r} "
                    f"for {dataset.paths[image]}. Pass the COCO file that has the ids as "
                    "`--coco-annotations`, with paths that differ."
                )
            left, top, width, height = row["bbox"]
            box = (left, top, left + width, top + height)
            found.append(_Row(image, labels[name], box, float(row["score"])))
    if rows and not found:
        raise ValueError(_nothing(path, dataset, other_images, other_classes))
    return found, [
        f"left out: {count_of(sum(counts.values()), 'detection')} {what}: {_some(counts)}"
        for counts, what in (
            (other_classes, "of classes that the dataset lacks"),
            (other_images, "in images that are not evaluated, by image id"),
        )
        if counts
    ]


def _unnamed(
    path: Path, unnamed: set[Any], class_names: Sequence[str], names: Mapping[Any, str]
) -> str:
    known = f" Known are {_some(f'{i}={name}' for i, name in names.items())}." if names else ""
    example = ",".join(f"{i}={name}" for i, name in enumerate(class_names[:SHOWN]))
    return (
        f"The category ids in {path} must have names. Received: category_id {_some(unnamed)}."
        f"{known} Name them, such as `--class-names {example}`, or pass the COCO file that has "
        "them as `--coco-annotations`."
    )


def _nothing(
    path: Path, dataset: DetectionDataset, images: Mapping[Any, int], classes: Mapping[str, int]
) -> str:
    if not images:
        return (
            f"The classes of {path} must be among those of the dataset: "
            f"{', '.join(dataset.class_names)}. Received: {_some(classes)}."
        )
    return (
        f"The image ids in {path} must be names of images of the dataset, such as "
        f"{dataset.paths[0].name}, or the numbers in them. Received: {_some(images)}. Pass the "
        "COCO file that has these ids as `--coco-annotations`."
    )


def _some(values: Any) -> str:
    shown = [str(value) for value in values]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(sorted(shown)[:SHOWN]) + more


def _by_image(
    dataset: DetectionDataset, found: Sequence[_Row], notes: list[str]
) -> FilePredictions:
    """Return the detections in each image that can be read."""
    by_image: dict[int, list[_Row]] = {}
    for row in found:
        by_image.setdefault(row.image, []).append(row)
    detections, readable, errors = [], [], {}
    num_outside = 0
    for i, path in enumerate(dataset.paths):
        try:
            width, height = image_size(path)
        except ImageError as error:
            errors[path] = str(error)
            continue
        rows = sorted(by_image.get(i, []), key=lambda row: -row.score)
        xyxy = np.array([row.xyxy for row in rows], "float64").reshape(-1, 4)
        limit = np.array([width, height]) + BORDER
        num_outside += int((xyxy[:, 2:] > limit).any(axis=1).sum())
        scores, classes = [row.score for row in rows], [row.class_id for row in rows]
        arrays = xyxy, np.array(scores, "float64"), np.array(classes, "int64")
        detections.append(Detections(*arrays, (height, width), dataset.class_names, path))
        readable.append(i)
    if not readable:
        raise ValueError(f"None of the images can be read: {next(iter(errors.values()), 'none')}")
    if num_outside > math.ceil(len(found) / 4):
        notes = [
            *notes,
            f"Warning: {num_outside} of {len(found)} boxes end outside of their image. `bbox` must "
            "be left, top, width and height in pixels of the image.",
        ]
    return FilePredictions(dataset.take(readable), tuple(detections), errors, notes)
