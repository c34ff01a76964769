"""What do bfloat16 and int8 cost in accuracy, and what do they gain?

On photos that the boxed presets were not trained on: top-1 of `csp_darknet_tiny_clothing`, and
mAP of `yolox_nano_bccd`. The calibration photos are from the training parts.

    KERAS_BACKEND=torch python benchmarks/precision_cost.py --clothing DIR --bccd DIR

The data sets are named in the presets' cards. `--nano yolox_nano.onnx --photos DIR` adds the
official YOLOX-nano: how many of its detections are found again.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness.results import RESULTS, write_csv, write_table

from cspdarknet.data.classification.find import load_classification_dataset
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split
from cspdarknet.detections import DetectionOptions, Detections
from cspdarknet.evaluate import mean_average_precision
from cspdarknet.evaluate.matching import pairwise_iou
from cspdarknet.images import find_images
from cspdarknet.inference import Predictor
from cspdarknet.models import ImageClassifier, YOLOXDetector

RUNTIMES = ("openvino", "onnxruntime")
PRECISIONS = ("float32", "bfloat16", "int8")
CALIBRATION = 128
Row = dict[str, Any]


def variants(
    model: Any, calibration: Sequence[Any], **settings: Any
) -> Iterator[tuple[Row, Predictor]]:
    """Yield the model in each precision on each runtime that has it on this processor."""
    for precision in PRECISIONS:
        for runtime in RUNTIMES:
            photos = calibration if precision == "int8" else None
            try:
                predictor = Predictor(
                    model, runtime=runtime, precision=precision, calibration=photos, **settings
                )
            except ValueError as error:  # bfloat16 where the processor or the runtime has none
                print(f"{precision} on {runtime}: {error}", flush=True)
                continue
            yield {"precision": precision, "runtime": runtime}, predictor


def classifier_rows(folder: Path) -> Iterator[Row]:
    """Top-1 of the clothing classifier on the validation photos."""
    model = ImageClassifier.from_preset("csp_darknet_tiny_clothing")
    parts = load_classification_dataset(folder)
    photos = parts.validation
    step = max(1, len(parts.train.paths) // CALIBRATION)
    for row, predictor in variants(model, parts.train.paths[::step][:CALIBRATION]):
        answers = np.argmax(predictor(photos.paths), axis=1)
        share = 100 * float(np.mean(answers == photos.labels))
        yield {"model": "csp_darknet_tiny_clothing", **row, "figure": "top-1, %", "is": share}


def detector_rows(folder: Path) -> Iterator[Row]:
    """COCO's figures of the blood cell detector on the validation photos."""
    model = YOLOXDetector.from_preset("yolox_nano_bccd")
    part = load_detection_split(folder, model.class_names or (), on_problem="fix")
    train = load_detection_dataset(folder, on_problem="fix").train.paths[:CALIBRATION]
    for row, predictor in variants(model, train, options=DetectionOptions(score_threshold=0.001)):
        figures = mean_average_precision(part.dataset, predictor(part.dataset.paths))
        for name, value in (("mAP, %", figures.map), ("mAP at 0.5, %", figures.map50)):
            assert value is not None
            yield {"model": "yolox_nano_bccd", **row, "figure": name, "is": 100 * value}


def agreement_rows(weights: Path, folder: Path) -> Iterator[Row]:
    """Share of the official YOLOX-nano's detections that are found again."""
    model = YOLOXDetector.from_preset(weights, image_size=416, score_threshold=0.3)
    photos = [photo.path for photo in find_images(folder)]
    expected: list[Detections] = []
    for row, predictor in variants(model, photos):
        found = predictor(photos)
        expected = expected or found
        share = 100 * found_again(expected, found)
        yield {"model": "yolox_nano_coco", **row, "figure": "found again, %", "is": share}


def found_again(expected: Sequence[Detections], found: Sequence[Detections]) -> float:
    """Return the share of objects that have another of their class at an overlap of 0.5."""
    again = total = 0
    for before, after in zip(expected, found, strict=True):
        fits = pairwise_iou(before.xyxy, after.xyxy) >= 0.5
        fits &= before.class_id[:, None] == after.class_id
        again, total = again + int(fits.any(axis=1).sum()), total + len(before)
    return again / total


def with_loss(rows: Sequence[Row]) -> list[Row]:
    """Add what each row loses beside float32 on OpenVINO."""
    base = {
        (row["model"], row["figure"]): row["is"]
        for row in reversed(rows)
        if row["precision"] == "float32"
    }
    return [
        row
        | {"is": f"{row['is']:.2f}", "loss": f"{base[row['model'], row['figure']] - row['is']:.2f}"}
        for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clothing", type=Path, help="photos of the clothing data set")
    parser.add_argument("--bccd", type=Path, help="the BCCD data set")
    parser.add_argument("--nano", type=Path, help="the official YOLOX-nano, .onnx or .pth")
    parser.add_argument("--photos", type=Path, help="photos for --nano")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    jobs: list[tuple[Callable[..., Iterator[Row]], tuple[Path, ...]]] = []
    if options.clothing:
        jobs.append((classifier_rows, (options.clothing,)))
    if options.bccd:
        jobs.append((detector_rows, (options.bccd,)))
    if options.nano and options.photos:
        jobs.append((agreement_rows, (options.nano, options.photos)))
    rows: list[Row] = []
    for job, arguments in jobs:
        for row in job(*arguments):
            rows.append(row)
            print(row, flush=True)
            write_csv(options.out / "precision_cost.csv", with_loss(rows))
    text = "Accuracy in each precision, and the loss in points beside float32."
    write_table(options.out / "precision_cost.md", text, with_loss(rows))


if __name__ == "__main__":
    main()
