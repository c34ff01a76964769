"""Writing of detections as COCO's JSON or CSV."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._files import write_whole
from cspdarknet.detections import Detections

CSV_HEADER = ("file", "class", "confidence", "x1", "y1", "x2", "y2", "frame")


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
        path: the file. It is written atomically.
        results: the detections in images and frames.
        class_names: names of the classes; their categories are counted from 1.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, result in enumerate(results, 1):
        height, width = result.detections.image_size
        frame = {} if result.frame is None else {"frame": result.frame}
        name = result.path.as_posix()
        images.append({"id": i, "file_name": name, "width": width, "height": height, **frame})
        for row in result.detections.to_coco(i):
            area = round(row["bbox"][2] * row["bbox"][3], 2)
            annotations.append({"id": len(annotations) + 1, "area": area, "iscrowd": 0, **row})
    categories = [{"id": i, "name": name} for i, name in enumerate(class_names, 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    _write(path, json.dumps(document) + "\n")


def write_csv(path: Path, results: Sequence[FileDetections]) -> None:
    """Write a CSV file with a row for each detection; `frame` is empty for images.

    Args:
        path: the file. It is written atomically.
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
    _write(path, table.getvalue())


def _write(path: Path, text: str) -> None:
    write_whole(
        path, lambda part: part.write_text(text, encoding="utf-8", errors="surrogateescape")
    )
