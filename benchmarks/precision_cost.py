"""What do bfloat16 and int8 cost in accuracy?

On images that the bundled presets were not trained on: the top-1 accuracy of
`csp_darknet_tiny_clothing`, and the mAP of `yolox_nano_bccd`. The images for calibration are from
the training splits.

    KERAS_BACKEND=torch python benchmarks/precision_cost.py --clothing DIR --bccd DIR

The model cards of the presets name the datasets. `--nano yolox_nano.onnx --images DIR` adds the
official YOLOX-nano: the fraction of its float32 detections that the other precisions keep.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
from harness.arguments import benchmark_parser
from harness.results import Row, write_results

from cspdarknet import Detections, Predictor, load_model
from cspdarknet.data import (
    load_classification_dataset,
    load_detection_dataset,
    load_detection_split,
)
from cspdarknet.evaluate import EVALUATION_OPTIONS, evaluate_classifier, evaluate_detector
from cspdarknet.evaluate.matching import pairwise_iou
from cspdarknet.images import find_images

RUNTIMES = ("openvino", "onnxruntime")
PRECISIONS = ("float32", "bfloat16", "int8")
CALIBRATION_IMAGES = 128
MATCH_IOU = 0.5


def predictors(
    model: keras.Model, calibration: Sequence[Path], **arguments: Any
) -> Iterator[tuple[Row, Predictor]]:
    """Yield a `Predictor` for each precision and runtime that this processor supports."""
    for precision in PRECISIONS:
        for runtime in RUNTIMES:
            images = calibration if precision == "int8" else None
            try:
                predictor = Predictor(
                    model, runtime=runtime, precision=precision, calibration=images, **arguments
                )
            except ValueError as error:  # the processor or the runtime does not support bfloat16
                print(f"{precision} on {runtime}: {error}", flush=True)
                continue
            yield {"precision": precision, "runtime": runtime}, predictor


def classifier_rows(folder: Path) -> Iterator[Row]:
    """Yield the top-1 accuracy of the clothing classifier on the validation images."""
    name = "csp_darknet_tiny_clothing"
    splits = load_classification_dataset(folder)
    step = max(1, len(splits.train) // CALIBRATION_IMAGES)
    calibration = splits.train.paths[::step][:CALIBRATION_IMAGES]
    for row, predictor in predictors(load_model(name), calibration):
        accuracy = evaluate_classifier(predictor, splits.validation).accuracy
        yield {"model": name, **row, "metric": "top-1, %", "value": 100 * accuracy}


def detector_rows(folder: Path) -> Iterator[Row]:
    """Yield the COCO metrics of the blood cell detector on the validation images."""
    name = "yolox_nano_bccd"
    detector = load_model(name)
    dataset = load_detection_split(folder, detector.class_names, on_problem="fix").dataset
    train = load_detection_dataset(folder, on_problem="fix").train
    calibration = train.paths[:CALIBRATION_IMAGES]
    for row, predictor in predictors(detector, calibration, options=EVALUATION_OPTIONS):
        metrics = evaluate_detector(predictor, dataset).average_precision
        for metric, value in (("mAP, %", metrics.map), ("mAP@0.5, %", metrics.map50)):
            assert value is not None
            yield {"model": name, **row, "metric": metric, "value": 100 * value}


def agreement_rows(weights: Path, folder: Path) -> Iterator[Row]:
    """Yield the percentage of the official YOLOX-nano's detections that are kept."""
    detector = load_model(weights, image_size=416, score_threshold=0.3)
    paths = [file.path for file in find_images(folder)]
    expected: list[Detections] = []
    for row, predictor in predictors(detector, paths):
        detections = predictor(paths)
        expected = expected or detections
        percent = 100 * matched_fraction(expected, detections)
        metric = "detections matched, %"
        yield {"model": "yolox_nano_coco", **row, "metric": metric, "value": percent}


def matched_fraction(expected: Sequence[Detections], detections: Sequence[Detections]) -> float:
    """Return the fraction of detections that have another of their class with an IoU of 0.5."""
    matched = total = 0
    for reference, result in zip(expected, detections, strict=True):
        fits = pairwise_iou(reference.xyxy, result.xyxy) >= MATCH_IOU
        fits &= reference.class_id[:, None] == result.class_id
        matched, total = matched + int(fits.any(axis=1).sum()), total + len(reference)
    return matched / total


def with_loss(rows: Sequence[Row]) -> list[Row]:
    """Add to each row the loss against float32 on OpenVINO."""
    base = {
        (row["model"], row["metric"]): row["value"]
        for row in reversed(rows)
        if row["precision"] == "float32"
    }
    return [
        {
            **row,
            "value": f"{row['value']:.2f}",
            "loss": f"{base[row['model'], row['metric']] - row['value']:.2f}",
        }
        for row in rows
    ]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--clothing", type=Path, help="folder of the clothing dataset")
    parser.add_argument("--bccd", type=Path, help="folder of the BCCD dataset")
    parser.add_argument("--nano", type=Path, help="the official YOLOX-nano, .onnx or .pth")
    parser.add_argument("--images", type=Path, help="folder of images for --nano")
    options = parser.parse_args()
    jobs: list[Iterator[Row]] = []
    if options.clothing:
        jobs.append(classifier_rows(options.clothing))
    if options.bccd:
        jobs.append(detector_rows(options.bccd))
    if options.nano and options.images:
        jobs.append(agreement_rows(options.nano, options.images))
    if not jobs:
        parser.error("at least one dataset is needed: --clothing, --bccd, or --nano and --images")
    text = "Accuracy in each precision, and the loss in points against float32."
    rows: list[Row] = []
    for job in jobs:
        for row in job:
            rows.append(row)
            print(row, flush=True)
            write_results(options.out, "precision_cost", text, with_loss(rows))


if __name__ == "__main__":
    main()
