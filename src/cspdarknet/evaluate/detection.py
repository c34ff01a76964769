"""How good a detector is: COCO's figures, and what it does at the threshold that suits it best."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.detections import Detections
from cspdarknet.evaluate.average_precision import AveragePrecision, mean_average_precision
from cspdarknet.evaluate.matching import Matches, best_threshold, confusion, match
from cspdarknet.images import ImageError
from cspdarknet.inference.photos import detect

if TYPE_CHECKING:
    import keras

BACKGROUND = "background"
# As YOLOX is evaluated: nearly all boxes, since precision is measured at every score.
LOWEST_SCORE, MAX_DETECTIONS = 0.001, 300
THRESHOLD_WITHOUT_BOXES = 0.5


@dataclass(frozen=True)
class DetectionClassMetrics:
    """How well one class is found: shares in 0..1, `None` where there is nothing to count.

    Attributes:
        name: of the class.
        boxes: true boxes, without the ignored ones.
        found: how many of them are found at the threshold.
        false: detections at the threshold that are not right.
        ap: average precision over the overlaps 0.5 to 0.95.
        ap50: average precision at the overlap 0.5.
    """

    name: str
    boxes: int
    found: int
    false: int
    ap: float | None
    ap50: float | None

    @property
    def precision(self) -> float | None:
        """Share of the detections that are right."""
        return _share(self.found, self.found + self.false)

    @property
    def recall(self) -> float | None:
        """Share of the boxes that are found."""
        return _share(self.found, self.boxes)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.found, self.boxes + self.found + self.false)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True, eq=False)
class DetectionEvaluation:
    """A detector's boxes beside the true ones.

    Attributes:
        photos: the photos that could be read, with their true boxes.
        detections: what was found in each, down to very low scores.
        errors: why photos could not be read, by path.
    """

    photos: DetectionDataset
    detections: tuple[Detections, ...]
    errors: dict[Path, str]

    @cached_property
    def average_precision(self) -> AveragePrecision:
        """COCO's figures; those of data without a box are `None`."""
        return mean_average_precision(self.photos, self.detections)

    @cached_property
    def score_threshold(self) -> float:
        """The threshold of the best mean F1, for use; 0.5 where no photo has a box."""
        matches = self._match(self.detections)
        return best_threshold(self.photos, self.detections, matches) or THRESHOLD_WITHOUT_BOXES

    @cached_property
    def kept(self) -> tuple[Detections, ...]:
        """What is found in each photo at the threshold."""
        limit = self.score_threshold
        return tuple(
            found.take(found.scores.astype("float64") >= limit) for found in self.detections
        )

    @cached_property
    def matches(self) -> tuple[Matches, ...]:
        """Which of the kept detections are right."""
        return self._match(self.kept)

    def _match(self, detections: tuple[Detections, ...]) -> tuple[Matches, ...]:
        photos = self.photos
        rows = zip(photos.boxes, photos.labels, photos.ignored, detections, strict=True)
        return tuple(match(*row) for row in rows)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Counts at the threshold, true classes in rows, found ones in columns, background last."""
        return confusion(self.photos, self.kept, self.matches)

    @cached_property
    def classes(self) -> list[DetectionClassMetrics]:
        """Figures of each class."""
        counts, precision = self.confusion, self.average_precision
        right, detected = np.diag(counts), counts.sum(axis=0)
        return [
            DetectionClassMetrics(
                name,
                boxes=int(boxes),
                found=int(right[i]),
                false=int(detected[i] - right[i]),
                ap=precision.of_class(i),
                ap50=precision.of_class_at_50(i),
            )
            for i, (name, boxes) in enumerate(
                zip(self.photos.class_names, self.photos.counts, strict=True)
            )
        ]

    @cached_property
    def mistakes(self) -> list[tuple[int, int]]:
        """Missed boxes and false detections of each photo."""
        return [
            (
                int((~ignored).sum() - matched.right.sum()),
                int((matched.counted & ~matched.right).sum()),
            )
            for ignored, matched in zip(self.photos.ignored, self.matches, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        figures = self.average_precision
        return {
            "photos": len(self.photos),
            "unreadable": len(self.errors),
            "boxes": int(self.photos.counts.sum()),
            "map": figures.map,
            "map50": figures.map50,
            "map75": figures.map75,
            **{f"map_{name}": value for name, value in figures.map_by_area.items()},
            "max_recall": figures.max_recall,
            "score_threshold": self.score_threshold,
            "classes": [
                {**vars(c), "precision": c.precision, "recall": c.recall, "f1": c.f1}
                for c in self.classes
            ],
            "confusion_classes": [*self.photos.class_names, BACKGROUND],
            "confusion": self.confusion.tolist(),
        }


def evaluate_detector(
    model: "keras.Model",
    photos: DetectionDataset,
    *,
    image_size: int | None = None,
    batch_size: int = 8,
    workers: int = 2,
    advance: Callable[[int], object] = int,
) -> DetectionEvaluation:
    """Find objects in photos with known boxes, and compare.

    Args:
        model: a `YOLOXDetector` of the same classes.
        photos: the photos and their boxes.
        image_size: side in pixels of the square that a photo is fitted into; `None` for the
            model's own.
        batch_size: photos in a batch.
        workers: number of threads that decode.
        advance: called with the number of photos that are done, for a progress bar.

    Returns:
        `DetectionEvaluation`; photos that cannot be read are left out of it, and named in its
        `errors`.

    Raises:
        ValueError: if none of the photos can be read, or the classes are not the model's.
        ImportError: if pycocotools is missing.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> boxes, labels = np.array([[10, 10, 50, 40]], "float32"), np.array([0])
        >>> photos = DetectionDataset(("ship",), (Path("sea.png"),), (boxes,), (labels,), (labels > 0,))
        >>> detector = YOLOXDetector.from_preset("csp_darknet_tiny", num_classes=1, image_size=64)
        >>> found = evaluate_detector(detector, photos)
        >>> found.average_precision.map, found.confusion.tolist()
        (0.0, [[0, 1], [0, 0]])
    """
    require("pycocotools", "detect", "Evaluating a detector")  # now, not after all the photos
    _check_classes(model, photos)
    readable, detections, errors = [], [], {}
    results = detect(
        model,
        photos.paths,
        score_threshold=LOWEST_SCORE,
        max_detections=MAX_DETECTIONS,
        image_size=image_size,
        batch_size=batch_size,
        workers=workers,
    )
    for i, (path, found) in enumerate(results):
        if isinstance(found, ImageError):
            errors[path] = str(found)
        else:
            readable.append(i)
            detections.append(found)
        advance(1)
    if not readable:
        reason = next(iter(errors.values()), "there are none")
        raise ValueError(f"None of the photos can be read: {reason}")
    return DetectionEvaluation(photos.take(readable), tuple(detections), errors)


def _check_classes(model: "keras.Model", photos: DetectionDataset) -> None:
    names = model.class_names
    same = (
        len(photos.class_names) == model.num_classes
        if names is None
        else (tuple(names) == tuple(photos.class_names))
    )
    if not same:
        known = f"{model.num_classes} classes" if names is None else ", ".join(names)
        raise ValueError(
            f"The photos have the classes {', '.join(photos.class_names)}; the model knows {known}."
        )
