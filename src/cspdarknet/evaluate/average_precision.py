"""COCO's metrics of detectors: average precision over classes and IoU thresholds."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.detections import Detections

# Indices in COCO's arrays: IoU 0.5, 0.55 ... 0.95; boxes of all areas; 100 detections.
IOU_50, IOU_75, ALL_AREAS, LAST = 0, 5, 0, -1
AREAS = {"small": 1, "medium": 2, "large": 3}


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """COCO's metrics, in 0..1; `None` where there is no ground-truth box.

    Attributes:
        precision: float array `(10, 101, classes)`: precision of each class at the IoU thresholds
            0.5, 0.55 ... 0.95 where the recall reaches 0, 0.01 ... 1; NaN for classes without a
            box.
        map: mean average precision (mAP) over classes and IoU thresholds, COCO's main metric.
        map50: mAP at IoU 0.5.
        map75: mAP at IoU 0.75.
        map_by_area: mAP of the boxes below 32² pixels, up to 96², and larger ones (COCO itself
            takes the areas of the outlines, where it has some).
        max_recall: mean recall over classes and IoU thresholds with the 100 highest-scoring
            detections of each class in an image.
    """

    precision: np.ndarray
    map: float | None
    map50: float | None
    map75: float | None
    map_by_area: dict[str, float | None]
    max_recall: float | None

    def of_class(self, class_id: int) -> float | None:
        """Return the average precision of one class, the mean over all IoU thresholds."""
        return _mean(self.precision[:, :, class_id])

    def of_class_at_50(self, class_id: int) -> float | None:
        """Return the average precision of one class at IoU 0.5."""
        return _mean(self.precision[IOU_50, :, class_id])


def mean_average_precision(
    dataset: DetectionDataset, detections: Sequence[Detections]
) -> AveragePrecision:
    """Compare detections with ground-truth boxes like the COCO challenge.

    COCO counts the 100 highest-scoring detections of each class in an image. Where a large image
    has more boxes of one class, twice as many detections as boxes are counted.

    Args:
        dataset: images with their ground-truth boxes.
        detections: the detections in each image, in the same order. Pass those of low scores, too:
            precision is measured at every score.

    Returns:
        An `AveragePrecision`.

    Raises:
        ValueError: if the lengths differ, or a detection has a class that the dataset lacks.
        ImportError: if pycocotools is missing.

    References:
        The evaluation of COCO detection, by `pycocotools.cocoeval`.

    Example:
        >>> boxes, labels = np.array([[10, 10, 50, 50]], "float32"), np.array([0])
        >>> columns = (Path("a.jpg"),), (boxes,), (labels,), (labels > 0,)
        >>> dataset = DetectionDataset(("cell",), *columns)
        >>> detections = Detections([[10, 10, 50, 45]], [0.9], [0], image_size=(100, 100))
        >>> metrics = mean_average_precision(dataset, [detections])
        >>> round(metrics.map, 3), round(metrics.map50, 3)
        (0.8, 1.0)
    """
    _check(dataset, detections)
    evaluation = require("pycocotools.cocoeval", "detect", "Evaluating a detector")
    with contextlib.redirect_stdout(io.StringIO()):  # COCOeval prints its progress
        coco = evaluation.COCOeval(
            _coco(dataset, detections, _ground_truth_rows(dataset)),
            _coco(dataset, detections, _detection_rows(detections)),
            "bbox",
        )
        if (most := _most_boxes(dataset)) > coco.params.maxDets[LAST]:
            coco.params.maxDets[LAST] = 2 * most
        coco.evaluate()
        coco.accumulate()
    precision, recall = (
        np.where(coco.eval[name] < 0, np.nan, coco.eval[name]) for name in ("precision", "recall")
    )
    all_areas = precision[..., ALL_AREAS, LAST]
    return AveragePrecision(
        precision=all_areas,
        map=_mean(all_areas),
        map50=_mean(all_areas[IOU_50]),
        map75=_mean(all_areas[IOU_75]),
        map_by_area={name: _mean(precision[..., i, LAST]) for name, i in AREAS.items()},
        max_recall=_mean(recall[..., ALL_AREAS, LAST]),
    )


def _check(dataset: DetectionDataset, detections: Sequence[Detections]) -> None:
    if len(dataset) != len(detections):
        raise ValueError(
            f"`detections` must have one entry for each of the {len(dataset)} images. "
            f"Received: {len(detections)}"
        )
    largest = max((int(item.class_id.max(initial=-1)) for item in detections), default=-1)
    if largest >= len(dataset.class_names):
        raise ValueError(
            f"The classes of `detections` must be those of the dataset, 0 to "
            f"{len(dataset.class_names) - 1}. Received: class {largest}"
        )


def _most_boxes(dataset: DetectionDataset) -> int:
    """Return the largest number of ground-truth boxes of one class in one image."""
    return max(
        (int(np.bincount(labels).max()) for labels in dataset.labels if len(labels)), default=0
    )


def _mean(values: np.ndarray) -> float | None:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size else None


def _coco(
    dataset: DetectionDataset, detections: Sequence[Detections], rows: Iterable[dict[str, Any]]
) -> Any:
    """Return a `pycocotools.coco.COCO` of boxes, which are ground truth or detections."""
    coco = require("pycocotools.coco", "detect", "Evaluating a detector").COCO()
    coco.dataset = {
        "images": [
            {"id": i, "height": item.image_size[0], "width": item.image_size[1]}
            for i, item in enumerate(detections)
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(dataset.class_names)],
        # Numbered from 1: COCO's evaluation takes 0 for "no box".
        "annotations": [
            {"id": i, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0, **row}
            for i, row in enumerate(rows, 1)
        ],
    }
    coco.createIndex()
    return coco


def _ground_truth_rows(dataset: DetectionDataset) -> Iterable[dict[str, Any]]:
    for i, arrays in enumerate(zip(dataset.boxes, dataset.labels, dataset.ignored, strict=True)):
        for box, label, ignored in zip(*(array.tolist() for array in arrays), strict=True):
            yield _row(i, box, label) | {"iscrowd": int(ignored)}


def _detection_rows(detections: Sequence[Detections]) -> Iterable[dict[str, Any]]:
    for i, item in enumerate(detections):
        for xyxy, confidence, class_id, *_ in item:
            yield _row(i, xyxy, class_id) | {"score": confidence}


def _row(image: int, xyxy: Sequence[float], class_id: int) -> dict[str, Any]:
    x1, y1, x2, y2 = xyxy
    return {"image_id": image, "category_id": class_id + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
