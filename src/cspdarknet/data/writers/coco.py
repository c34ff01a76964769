"""Writing of the COCO format: `annotations/instances_<split>.json` and `images/<split>`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.problems import Problem
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.names import UniqueNames
from cspdarknet.data.writers.numbers import decimal


def write_coco(
    folder: Path, splits: Mapping[str, DetectionDataset], images: ImageFiles
) -> list[Problem]:
    """Write a dataset in the COCO format.

    Category ids count from 1 in the order of the classes; ignored boxes are crowds (`iscrowd`).

    Args:
        folder: an empty folder.
        splits: the splits.
        images: sizes and copies of the image files.

    Returns:
        What the format cannot hold: nothing.
    """
    names = UniqueNames()
    (folder / "annotations").mkdir()
    for split, dataset in splits.items():
        target = folder / "images" / split
        target.mkdir(parents=True)
        content: dict[str, list[dict[str, Any]]] = {
            "images": [],
            "annotations": [],
            "categories": [
                {"id": i, "name": name} for i, name in enumerate(dataset.class_names, 1)
            ],
        }
        for i, (path, name) in enumerate(
            zip(dataset.paths, names.add_all(dataset.paths), strict=True)
        ):
            images.copy(path, target / name)
            width, height = images.size(path)
            row = {"id": i + 1, "file_name": name, "width": width, "height": height}
            content["images"].append(row)
            _add_boxes(content["annotations"], dataset, i)
        text = json.dumps(content)
        (folder / f"annotations/instances_{split}.json").write_text(text, encoding="utf-8")
    return []


def _add_boxes(annotations: list[dict[str, Any]], dataset: DetectionDataset, i: int) -> None:
    for box, label, ignored in zip(
        dataset.boxes[i], dataset.labels[i], dataset.ignored[i], strict=True
    ):
        left, top, right, bottom = map(decimal, box)
        width, height = right - left, bottom - top
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": i + 1,
                "category_id": int(label) + 1,
                "bbox": [left, top, width, height],
                "area": width * height,
                "iscrowd": int(ignored),
            }
        )
