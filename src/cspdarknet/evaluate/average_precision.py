"""COCO's figures for a detector: average precision over classes and overlaps, by pycocotools."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.detections import Detections

# Places in COCO's arrays: overlaps of 0.5, 0.55 ... 0.95; boxes of all areas; 100 detections.
IOU_50, IOU_75, ALL_AREAS, LAST = 0, 5, 0, -1
AREAS = {"small": 1, "medium": 2, "large": 3}


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """COCO's figures, in 0..1; `None` where there is no box to find.

    Attributes:
        precision: float array `(10, 101, classes)`: precision of each class at the overlaps 0.5,
            0.55 ... 0.95 where the recall reaches 0, 0.01 ... 1; NaN for classes without a box.
        map: mean average precision over classes and overlaps, COCO's main figure.
        map50: the same at an overlap of 0.5.
        map75: the same at 0.75.
        map_by_area: `map` of the boxes below 32² pixels, up to 96², and larger ones (COCO itself
            goes by the areas of its outlines, where it has some).
        max_recall: share of boxes that the surest 100 detections of each class in a photo find,
            the mean over classes and overlaps.
    """

    precision: np.ndarray
    map: float | None
    map50: float | None
    map75: float | None
    map_by_area: dict[str, float | None]
    max_recall: float | None

    def of_class(self, label: int) -> float | None:
        """Return the average precision of one class over all overlaps."""
        return _mean(self.precision[:, :, label])

    def of_class_at_50(self, label: int) -> float | None:
        """Return the average precision of one class at an overlap of 0.5."""
        return _mean(self.precision[IOU_50, :, label])


def mean_average_precision(
    truth: DetectionDataset, detections: Sequence[Detections]
) -> AveragePrecision:
    """Compare detections with true boxes as the COCO challenge does.

    Give all detections, also those of low scores: precision is measured at every score.

    Args:
        truth: photos with their boxes.
        detections: what was found in each photo, in the same order.

    Returns:
        `AveragePrecision`.

    Raises:
        ValueError: if the lengths differ, or a class is none of those of `truth`.
        ImportError: if pycocotools is missing.

    Example:
        >>> boxes, labels = np.array([[10, 10, 50, 50]], "float32"), np.array([0])
        >>> truth = DetectionDataset(("cell",), (Path("a.jpg"),), (boxes,), (labels,), (labels > 0,))
        >>> found = Detections([[10, 10, 50, 45]], [0.9], [0], image_size=(100, 100))
        >>> figures = mean_average_precision(truth, [found])
        >>> round(figures.map, 3), round(figures.map50, 3)
        (0.8, 1.0)
    """
    _check(truth, detections)
    evaluation = require("pycocotools.cocoeval", "detect", "Evaluating a detector")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        coco = evaluation.COCOeval(
            _coco(truth, detections, _true_boxes(truth)),
            _coco(truth, detections, _found_boxes(detections)),
            "bbox",
        )
        coco.evaluate()
        coco.accumulate()
    precision, recall = (
        np.where(coco.eval[name] < 0, np.nan, coco.eval[name]) for name in ("precision", "recall")
    )
    whole = precision[..., ALL_AREAS, LAST]
    return AveragePrecision(
        precision=whole,
        map=_mean(whole),
        map50=_mean(whole[IOU_50]),
        map75=_mean(whole[IOU_75]),
        map_by_area={name: _mean(precision[..., i, LAST]) for name, i in AREAS.items()},
        max_recall=_mean(recall[..., ALL_AREAS, LAST]),
    )


def _check(truth: DetectionDataset, detections: Sequence[Detections]) -> None:
    if len(truth) != len(detections):
        raise ValueError(
            f"`detections` needs one entry for each of the {len(truth)} photos. "
            f"Received: {len(detections)}"
        )
    largest = max((int(found.classes.max(initial=-1)) for found in detections), default=-1)
    if largest >= len(truth.class_names):
        raise ValueError(
            f"The photos have {len(truth.class_names)} classes ({', '.join(truth.class_names)}), "
            f"and a detection is of class {largest}, counted from 0."
        )


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _coco(
    truth: DetectionDataset, detections: Sequence[Detections], rows: Iterable[dict[str, Any]]
) -> Any:
    coco = require("pycocotools.coco", "detect", "Evaluating a detector").COCO()
    coco.dataset = {
        "images": [
            {"id": i, "height": found.image_size[0], "width": found.image_size[1]}
            for i, found in enumerate(detections)
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(truth.class_names)],
        # Numbered from 1: COCO's evaluation takes 0 for "no box".
        "annotations": [
            {"id": i, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0, **row}
            for i, row in enumerate(rows, 1)
        ],
    }
    coco.createIndex()
    return coco


def _true_boxes(truth: DetectionDataset) -> Iterable[dict[str, Any]]:
    for i, arrays in enumerate(zip(truth.boxes, truth.labels, truth.ignored, strict=True)):
        for box, label, ignored in zip(*(array.tolist() for array in arrays), strict=True):
            yield _row(i, box, label) | {"iscrowd": int(ignored)}


def _found_boxes(detections: Sequence[Detections]) -> Iterable[dict[str, Any]]:
    for i, found in enumerate(detections):
        arrays = (found.boxes, found.classes, found.scores)
        for box, label, score in zip(*(array.tolist() for array in arrays), strict=True):
            yield _row(i, box, label) | {"score": score}


def _row(image: int, box: list[float], label: int) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {"image_id": image, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
