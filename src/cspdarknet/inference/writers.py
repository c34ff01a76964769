"""Write detections as COCO's JSON or as a table."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._files import write_whole
from cspdarknet.detections import Detections

CSV_HEADER = ("file", "class", "score", "x1", "y1", "x2", "y2", "frame")


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in a photo, or in a frame of a video.

    Attributes:
        path: the file.
        detections: the objects.
        frame: number of the frame, from 0; `None` for a photo.
    """

    path: Path
    detections: Detections
    frame: int | None = None


def write_coco(path: Path, found: Sequence[Found], class_names: Sequence[str]) -> None:
    """Write one JSON document in COCO's format: images, annotations with scores, categories.

    The frames of a video are images of the same `file_name`, with a `frame` each.

    Args:
        path: the file; it appears whole or not at all.
        found: photos and frames.
        class_names: names of the classes; their categories are counted from 1.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, item in enumerate(found, 1):
        height, width = item.detections.image_size
        frame = {} if item.frame is None else {"frame": item.frame}
        name = item.path.as_posix()
        images.append({"id": i, "file_name": name, "width": width, "height": height, **frame})
        for row in item.detections.to_coco(i):
            area = round(row["bbox"][2] * row["bbox"][3], 2)
            annotations.append({"id": len(annotations) + 1, "area": area, "iscrowd": 0, **row})
    categories = [{"id": i, "name": name} for i, name in enumerate(class_names, 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    _write(path, json.dumps(document) + "\n")


def write_table(path: Path, found: Sequence[Found], class_names: Sequence[str]) -> None:
    """Write a CSV file with a row for each object; `frame` is empty for photos.

    Args:
        path: the file; it appears whole or not at all.
        found: photos and frames.
        class_names: names of the classes.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for item in found:
        for row in item.detections.to_json(class_names):
            frame = "" if item.frame is None else item.frame
            writer.writerow([item.path, row["class"], row["score"], *row["box"], frame])
    _write(path, table.getvalue())


def _write(path: Path, text: str) -> None:
    write_whole(
        path, lambda part: part.write_text(text, encoding="utf-8", errors="surrogateescape")
    )
