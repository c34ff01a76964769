"""Writing of detections as COCO's JSON or CSV."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._files import write_text
from cspdarknet.detections import Detections
from cspdarknet.yolox.coco_names import COCO_CATEGORY_IDS, COCO_NAMES

CSV_HEADER = ("file", "class", "confidence", "x1", "y1", "x2", "y2", "frame")
INFO = {"description": "Detections of cspdarknet"}
# How the files begin, by which an earlier result is told from an annotation file.
CSV_STARTS = (",".join(CSV_HEADER),)
COCO_STARTS = (f'{{"info": {json.dumps(INFO)}',)
COCO_RESULTS_STARTS = ('[{"image_id": ', "[]")


@dataclass(frozen=True, eq=False)
class FileDetections:
    """The detections in an image file or in a frame of a video.

    Attributes:
        path: the file.
        detections: the detections.
        frame: index of the frame; `None` for an image.
    """

    path: Path
    detections: Detections
    frame: int | None = None


def write_coco(path: Path, results: Sequence[FileDetections], class_names: Sequence[str]) -> None:
    """Write one JSON document in COCO's format: images, annotations with scores, categories.

    The frames of a video are images of the same `file_name`, with a `frame` each.

    Args:
        path: the file, which is written atomically; `-` is the standard output.
        results: the detections in images and frames.
        class_names: names of the classes; their categories are counted from 1, or have COCO's ids
            if the classes are COCO's.
    """
    ids = _category_ids(class_names)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, result in enumerate(results, 1):
        height, width = result.detections.image_size
        frame = {} if result.frame is None else {"frame": result.frame}
        name = result.path.as_posix()
        images.append({"id": i, "file_name": name, "width": width, "height": height, **frame})
        for row in result.detections.to_coco(i, ids):
            area = round(row["bbox"][2] * row["bbox"][3], 2)
            annotations.append({"id": len(annotations) + 1, "area": area, "iscrowd": 0, **row})
    categories = [{"id": i, "name": name} for i, name in zip(ids, class_names, strict=True)]
    document = {
        "info": INFO,
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    write_text(path, json.dumps(document) + "\n")


def write_coco_results(
    path: Path,
    results: Sequence[FileDetections],
    class_names: Sequence[str],
    annotations: Path | None = None,
) -> None:
    """Write a list of detections in COCO's results format, which pycocotools' `loadRes` takes.

    Args:
        path: the file, which is written atomically; `-` is the standard output.
        results: the detections in images.
        class_names: names of the classes.
        annotations: the COCO file whose ids of images and categories are used, by their names.
            Without it, an image has the number in its file name as its id, as in COCO, or else its
            place in the list; and categories are numbered as in `write_coco`.

    Raises:
        ValueError: if an image or a class is not in the annotations.
    """
    category_ids = _category_ids(class_names)
    names = [result.path.name for result in results]
    image_ids = [int(r.path.stem) if r.path.stem.isdecimal() else None for r in results]
    if len(set(image_ids)) < len(results) or None in image_ids:
        image_ids = list(range(1, len(results) + 1))
    if annotations is not None:
        by_image, by_category = _annotated_ids(annotations)
        image_ids = [_known(by_image, name, annotations) for name in names]
        category_ids = [_known(by_category, name, annotations) for name in class_names]
    rows = [
        row
        for result, i in zip(results, image_ids, strict=True)
        for row in result.detections.to_coco(i, category_ids)  # type: ignore[arg-type]
    ]
    write_text(path, json.dumps(rows) + "\n")


def _category_ids(class_names: Sequence[str]) -> Sequence[int]:
    is_coco = tuple(class_names) == COCO_NAMES
    return COCO_CATEGORY_IDS if is_coco else range(1, len(class_names) + 1)


def _annotated_ids(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Return the ids of images and categories in a COCO file, by the names of files and classes."""
    try:
        content = json.loads(path.read_bytes())
        images = {Path(image["file_name"]).name: image["id"] for image in content["images"]}
        return images, {category["name"]: category["id"] for category in content["categories"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must be a COCO file with images and categories. Received: {error!r}"
        ) from error


def _known(ids: dict[str, int], name: str, path: Path) -> int:
    if name not in ids:
        raise ValueError(f"{name} must be in {path}, from which ids are taken. It is not.")
    return ids[name]


def write_csv(path: Path, results: Sequence[FileDetections]) -> None:
    """Write a CSV file with a row for each detection; `frame` is empty for images.

    Args:
        path: the file, which is written atomically; `-` is the standard output.
        results: the detections in images and frames.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for result in results:
        frame = "" if result.frame is None else result.frame
        for row in result.detections.to_json():
            name = row["class_id"] if row["class_name"] is None else row["class_name"]
            writer.writerow([result.path, name, row["confidence"], *row["xyxy"], frame])
    write_text(path, table.getvalue())
