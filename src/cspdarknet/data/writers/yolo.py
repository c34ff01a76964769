"""Writing of the YOLO format: `data.yaml`, `images/<split>` and `labels/<split>`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.problems import Problem, count_of
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.names import UniqueNames

# The names that other tools expect.
SPLITS = {"train": "train", "validation": "val", "test": "test"}


def write_yolo(
    folder: Path, splits: Mapping[str, DetectionDataset], images: ImageFiles
) -> list[Problem]:
    """Write a dataset in the YOLO format. Images without boxes get empty label files.

    Args:
        folder: an empty folder.
        splits: the splits.
        images: sizes and copies of the image files.

    Returns:
        The images whose ignored boxes are left out: the format cannot mark them.

    Raises:
        ImportError: if PyYAML is not installed.
    """
    yaml: Any = require("yaml", "detect", "Writing data.yaml")
    names, problems = UniqueNames(), []
    config: dict[str, Any] = {}
    for split, dataset in splits.items():
        name = SPLITS[split]
        image_folder, label_folder = (folder / kind / name for kind in ("images", "labels"))
        for path in (image_folder, label_folder):
            path.mkdir(parents=True)
        for i, path in enumerate(dataset.paths):
            file_name = names.add(path)
            images.copy(path, image_folder / file_name)
            lines = _lines(dataset, i, images.size(path))
            label_file = label_folder / f"{file_name.rpartition('.')[0]}.txt"
            label_file.write_text("".join(lines), encoding="utf-8", newline="\n")
            if count := int(dataset.ignored[i].sum()):
                reason = f"{count_of(count, 'ignored box', 'ignored boxes')} left out"
                problems.append(Problem("ignored box", path, reason))
        config[name] = f"images/{name}"
    class_names = next(iter(splits.values())).class_names
    config["names"] = dict(enumerate(class_names))
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False, width=1_000_000)
    (folder / "data.yaml").write_text(text, encoding="utf-8", newline="\n")
    return problems


def _lines(dataset: DetectionDataset, i: int, size: tuple[int, int]) -> list[str]:
    """Return the lines of a label file: class, center, width and height as fractions."""
    kept = ~dataset.ignored[i]
    corners = dataset.boxes[i][kept].astype("float64") / np.tile(size, 2)
    centers, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    rows = np.hstack([centers, sides]).tolist()
    return [
        f"{label} {' '.join(map(repr, row))}\n"
        for label, row in zip(dataset.labels[i][kept].tolist(), rows, strict=True)
    ]
