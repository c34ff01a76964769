"""Evaluation of detectors: COCO's mAP, confusion matrix and metrics per class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from cspdarknet._extras import require
from cspdarknet._image_size import ImageSize
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.detections import Detections
from cspdarknet.detections.options import class_ids
from cspdarknet.evaluate.average_precision import AveragePrecision, mean_average_precision
from cspdarknet.evaluate.matching import (
    Matches,
    best_threshold,
    confusion,
    match,
    nonzero,
    ratio,
)
from cspdarknet.evaluate.prediction_files import read_predictions
from cspdarknet.evaluate.predictions import predict_dataset
from cspdarknet.evaluate.thresholds import ClassThreshold, propose_thresholds
from cspdarknet.score_thresholds import ScoreThreshold, per_class

BACKGROUND = "background"
THRESHOLD_WITHOUT_BOXES = 0.5


@dataclass(frozen=True)
class DetectionClassMetrics:
    """Metrics of one class, in 0..1; `None` where there is nothing to count.

    Attributes:
        name: name of the class.
        boxes: number of ground-truth boxes, without the ignored ones.
        true_positives: number of them that are detected at the score threshold.
        false_positives: number of detections at the threshold without a ground-truth box.
        ap: average precision, the mean over IoU 0.5 to 0.95.
        ap50: average precision at IoU 0.5.
    """

    name: str
    boxes: int
    true_positives: int
    false_positives: int
    ap: float | None
    ap50: float | None

    @property
    def precision(self) -> float | None:
        """Fraction of the detections that are true positives."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Fraction of the ground-truth boxes that are detected."""
        return ratio(self.true_positives, self.boxes)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return ratio(
            2 * self.true_positives, self.boxes + self.true_positives + self.false_positives
        )


@dataclass(frozen=True, eq=False)
class DetectionEvaluation:
    """The detections of a detector compared with the ground truth of a dataset.

    Attributes:
        dataset: the images that could be read, with their ground-truth boxes.
        detections: the detections in each of them, down to very low scores.
        errors: why the other images could not be read, by path.
        notes: what else was left out, or looks wrong.
        chosen: ids of the classes that are evaluated; `None` for all.
    """

    dataset: DetectionDataset
    detections: tuple[Detections, ...]
    errors: dict[Path, str]
    notes: tuple[str, ...] = ()
    chosen: tuple[int, ...] | None = None

    def of_classes(self, classes: Sequence[str | int]) -> Self:
        """Return the evaluation of some classes alone.

        Boxes and detections of the others are left out; their metrics are `None`. The ids of the
        classes do not change.

        Args:
            classes: names or ids of classes of the dataset.

        Raises:
            ValueError: if there is no such class.
        """
        ids, data = class_ids(classes, self.dataset.class_names), self.dataset
        kept = [np.isin(labels, ids) for labels in data.labels]
        columns = {
            name: tuple(rows[keep] for rows, keep in zip(getattr(data, name), kept, strict=True))
            for name in ("boxes", "labels", "ignored")
        }
        detections = tuple(d[np.isin(d.class_id, ids)] for d in self.detections)
        return replace(self, dataset=replace(data, **columns), detections=detections, chosen=ids)

    @property
    def chosen_classes(self) -> list[DetectionClassMetrics]:
        """Metrics of the classes that are evaluated."""
        return [c for i, c in enumerate(self.classes) if self.chosen is None or i in self.chosen]

    @cached_property
    def average_precision(self) -> AveragePrecision:
        """COCO's metrics; `None` where the dataset has no boxes."""
        return mean_average_precision(self.dataset, self.detections)

    @cached_property
    def score_threshold(self) -> float:
        """The score threshold with the best mean F1; 0.5 for a dataset without boxes."""
        best = best_threshold(self.dataset, self.detections, self._all_matches)
        return best or THRESHOLD_WITHOUT_BOXES

    def thresholds(self, criterion: str = "count") -> list[ClassThreshold]:
        """Return the score threshold of each class that meets a criterion best.

        Args:
            criterion: `"count"` for as many detections as annotated objects; `"f1"` for the best
                F1; `"recall=0.9"` or `"precision=0.9"` for a wished recall or precision.

        Returns:
            A `ClassThreshold` for each class, which are the same unless a threshold of its own
            pays for a class (see `cspdarknet.evaluate.thresholds`); an empty list if no box is
            detected.

        Raises:
            ValueError: if there is no such criterion.
        """
        return propose_thresholds(self.dataset, self.detections, self._all_matches, criterion)

    @cached_property
    def _all_matches(self) -> tuple[Matches, ...]:
        """The matches of all detections: one of a higher score does not depend on lower ones."""
        return self._match(self.detections)

    @cached_property
    def kept(self) -> tuple[Detections, ...]:
        """The detections in each image at the score threshold."""
        limit = self.score_threshold
        return tuple(
            detections[detections.confidence.astype("float64") >= limit]
            for detections in self.detections
        )

    @cached_property
    def matches(self) -> tuple[Matches, ...]:
        """The matches of the kept detections with the ground truth."""
        return self._match(self.kept)

    def _match(self, detections: tuple[Detections, ...]) -> tuple[Matches, ...]:
        truth = self.dataset
        rows = zip(truth.boxes, truth.labels, truth.ignored, detections, strict=True)
        return tuple(match(*row) for row in rows)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Confusion matrix at the score threshold: ground truth in rows, background last."""
        return confusion(self.dataset, self.kept, self.matches)

    @cached_property
    def classes(self) -> list[DetectionClassMetrics]:
        """Metrics of each class."""
        counts, precision = self.confusion, self.average_precision
        correct, detected = np.diag(counts), counts.sum(axis=0)
        return [
            DetectionClassMetrics(
                name,
                boxes=int(boxes),
                true_positives=int(correct[i]),
                false_positives=int(detected[i] - correct[i]),
                ap=precision.of_class(i),
                ap50=precision.of_class_at_50(i),
            )
            for i, (name, boxes) in enumerate(
                zip(self.dataset.class_names, self.dataset.counts, strict=True)
            )
        ]

    @cached_property
    def mistakes(self) -> list[tuple[int, int]]:
        """Numbers of missed ground-truth boxes and of false positives in each image."""
        return [
            (
                int((~ignored).sum() - matches.is_true_positive.sum()),
                int((matches.is_counted & ~matches.is_true_positive).sum()),
            )
            for ignored, matches in zip(self.dataset.ignored, self.matches, strict=True)
        ]

    def per_image(self, score_threshold: ScoreThreshold | None = None) -> list[dict[str, Any]]:
        """Return the counts of each image, as rows of a table: names of columns and values.

        Args:
            score_threshold: one score threshold, or one for each class, such as those of the
                model; `None` for the one with the best mean F1.

        Returns:
            A dict for each image: its file, and the numbers of ground-truth boxes, detections,
            matched and missed boxes, and false detections.
        """
        given = self.score_threshold if score_threshold is None else score_threshold
        limits = np.array(per_class(given, len(self.dataset.class_names)), "float32")
        images = zip(
            self.dataset.paths,
            self.dataset.ignored,
            self.detections,
            self._all_matches,
            strict=True,
        )
        return [_counts_of_image(limits, *image) for image in images]

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as plain JSON types."""
        metrics = self.average_precision
        return {
            "images": len(self.dataset),
            "unreadable": len(self.errors),
            "boxes": int(self.dataset.counts.sum()),
            "map": metrics.map,
            "map50": metrics.map50,
            "map75": metrics.map75,
            **{f"map_{name}": value for name, value in metrics.map_by_area.items()},
            "max_recall": metrics.max_recall,
            "score_threshold": self.score_threshold,
            "thresholds": {
                criterion: [
                    {**vars(c), "precision": c.precision, "recall": c.recall}
                    for c in self.thresholds(criterion)
                ]
                for criterion in ("count", "f1")
            },
            "classes": [
                {**vars(c), "precision": c.precision, "recall": c.recall, "f1": c.f1}
                for c in self.chosen_classes
            ],
            "confusion_classes": [*self.dataset.class_names, BACKGROUND],
            "confusion": nonzero(self.confusion),
        }


def _counts_of_image(
    limits: np.ndarray, path: Path, ignored: np.ndarray, detections: Detections, matches: Matches
) -> dict[str, Any]:
    kept = detections.confidence >= limits[detections.class_id]
    matched, boxes = int((kept & matches.is_true_positive).sum()), int((~ignored).sum())
    return {
        "file": str(path.absolute()),
        "ground_truth": boxes,
        "detections": int(kept.sum()),
        "matched": matched,
        "missed": boxes - matched,
        "false": int((kept & matches.is_counted).sum()) - matched,
    }


def evaluate_detector(
    model: Any,
    dataset: DetectionDataset,
    *,
    image_size: ImageSize | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    advance: Callable[[int], object] = int,
) -> DetectionEvaluation:
    """Detect objects in the images of a dataset, and compare with their ground-truth boxes.

    Args:
        model: a `YOLOXDetector`, which is run by Keras; anything else that `Predictor` takes, such
            as a preset name, a run folder or an exported file; or a `Predictor`. The mAP depends
            on detections of low scores: an exported file should have, and a `Predictor` should be
            made with, `EVALUATION_OPTIONS`, as all other models are.
        dataset: the images and their boxes.
        image_size: side in pixels of the square that images are letterboxed to; `None` for the
            model's own, or that of the `Predictor`.
        batch_size: batch size; `None` for 8. A `Predictor` has its own.
        workers: number of threads that decode images; a `Predictor` has its own.
        advance: called with the number of images done, for a progress bar.

    Returns:
        A `DetectionEvaluation`. Images that cannot be read are left out, and named in its
        `errors`.

    Raises:
        ValueError: if the model is not a detector, its classes are not those of the dataset, or no
            image can be read.
        ImportError: if pycocotools is missing.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> boxes, labels = np.array([[10, 10, 50, 40]], "float32"), np.array([0])
        >>> columns = (Path("sea.png"),), (boxes,), (labels,), (labels > 0,)
        >>> dataset = DetectionDataset(("ship",), *columns)
        >>> detector = YOLOXDetector.from_preset("csp_darknet_tiny", num_classes=1, image_size=64)
        >>> evaluation = evaluate_detector(detector, dataset)
        >>> evaluation.average_precision.map, evaluation.confusion.tolist()
        (0.0, [[0, 1], [0, 0]])
    """
    require("pycocotools", "detect", "Evaluating a detector")  # before all images are predicted
    predictions = predict_dataset(
        model,
        dataset,
        "detection",
        image_size=image_size,
        batch_size=batch_size,
        workers=workers,
        advance=advance,
    )
    detections = tuple(predictions.results)
    return DetectionEvaluation(predictions.dataset, detections, predictions.errors)


def evaluate_predictions(
    predictions: str | Path,
    dataset: DetectionDataset,
    *,
    coco_annotations: str | Path | None = None,
    category_names: Mapping[int, str] | None = None,
) -> DetectionEvaluation:
    """Compare the detections in a file, which any tool wrote, with the boxes of a dataset.

    Args:
        predictions: a JSON file as of `read_predictions`, such as a list of COCO's results.
        dataset: the images and their boxes.
        coco_annotations: the COCO file whose ids of images and categories the file has.
        category_names: names of the categories by id, if no file has them.

    Returns:
        A `DetectionEvaluation`; its `notes` say what was left out.

    Raises:
        ValueError: if the file is of another form, or does not fit the dataset.
        ImportError: if pycocotools is missing.
    """
    require("pycocotools", "detect", "Evaluating detections")
    read = read_predictions(
        predictions,
        dataset,
        coco_annotations=coco_annotations,
        category_names=category_names,
    )
    return DetectionEvaluation(read.dataset, read.detections, read.errors, tuple(read.notes))
