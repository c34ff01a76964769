"""How fast are training batches made from a folder, from packed shards, and from decoded images?

Batches of a classifier and of a detector, in turns: from JPEG files of 640 x 480 pixels, from the
same files packed into ArrayRecord and Parquet, and from the files with decoded images on disk. A
detector keeps decoded images in memory otherwise, which is switched off here. Above one is faster
than the folder.

    KERAS_BACKEND=torch python benchmarks/data_sources.py
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import write_photographs
from harness.results import Row, write_results
from harness.turns import median_ratio, median_seconds, time_functions, timing_note

from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    DetectionAugmentation,
    DetectionDataset,
    DetectionSource,
    load_classification_dataset,
    pack_dataset,
    training_batches,
)
from cspdarknet.data.detection.source import ImageCache
from cspdarknet.data.disk_cache import DiskCache

IMAGES, BATCH_SIZE, STEPS, WORKERS = 64, 16, 6, 2
FOLDER = "folder"
Source = Callable[[Any, DiskCache | None], Any]


def classifier(dataset: Any, cache: DiskCache | None) -> ClassificationSource:
    """Return the source of a classifier."""
    augmentation = ClassificationAugmentation()
    return ClassificationSource(
        dataset, augmentation, BATCH_SIZE, workers=WORKERS, disk_cache=cache
    )


def detector(dataset: Any, cache: DiskCache | None) -> DetectionSource:
    """Return the source of a detector: a box in each image, nothing kept in memory."""
    box, label = np.array([[100, 100, 300, 300]], "float32"), np.array([0], "int32")
    columns = [(value,) * len(dataset) for value in (box, label, label > 0)]
    boxes = DetectionDataset(("object",), dataset.paths, *columns)
    augmentation = DetectionAugmentation()
    return DetectionSource(
        boxes, augmentation, BATCH_SIZE, workers=WORKERS, disk_cache=cache, cache=ImageCache(0)
    )


def read_all(source: Any, size: int) -> None:
    """Make some batches."""
    for _ in training_batches(source, size, 0, STEPS):
        pass


def measure(name: str, source: Source, folder: Path, size: int, rounds: int) -> list[Row]:
    """Return a row for each way to store the images."""
    data = {kind: load_classification_dataset(folder / kind).train for kind in (FOLDER, *PACKS)}
    sources = {kind: source(dataset, None) for kind, dataset in data.items()}
    sources["folder, decoded on disk"] = source(data[FOLDER], DiskCache(folder / f"cache-{name}"))
    runs = {kind: lambda s=s: read_all(s, size) for kind, s in sources.items()}  # type: ignore[misc]
    times = time_functions(runs, rounds)
    return [
        {
            "batches": f"{name}, {size} pixels",
            "images": kind,
            "images per second": round(STEPS * BATCH_SIZE / median_seconds(t), 1),
            "ratio": round(1 / median_ratio(t, times[FOLDER]), 2),
        }
        for kind, t in times.items()
    ]


PACKS = ("array-record", "parquet")


def main() -> None:
    options = benchmark_parser(__doc__, rounds=5).parse_args()
    text = (
        f"Images per second of training batches, JPEG images of 640 x 480 pixels, {WORKERS} "
        f"workers; {timing_note(options.rounds, WORKERS)}. The ratio is that to the folder."
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photographs(folder / FOLDER, IMAGES, classes=2)
        for kind in PACKS:
            pack_dataset(folder / FOLDER, folder / kind, kind)
        for task, source, size in (("classifier", classifier, 224), ("detector", detector, 416)):
            rows += measure(task, source, folder, size, options.rounds)
            write_results(options.out, "data_sources", text, rows)
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
