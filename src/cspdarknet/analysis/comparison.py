"""`Comparison`: the predictions of two models for the same images, side by side."""

import abc
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageOps

from cspdarknet.analysis.significance import Contingency
from cspdarknet.data import ClassificationDataset, DetectionDataset
from cspdarknet.detections import Detections
from cspdarknet.evaluate import ClassificationEvaluation, DetectionEvaluation
from cspdarknet.evaluate.matching import match
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet, open_or_blank
from cspdarknet.visualize import draw_boxes

MAX_TILES, COLUMNS, SIDE, DETECTION_SIDE = 48, 6, 200, 300
DECIMALS = 6
RIGHT, WRONG, UNKNOWN = "forestgreen", "firebrick", "black"
MODELS = ("a", "b")


@dataclass(frozen=True, eq=False)
class Comparison(abc.ABC):
    """The predictions of two models for the same images.

    Attributes:
        names: names of the models.
        paths: the images that both could read.
        class_names: names of the classes.
        errors: why the other images could not be read, by path.
        notes: what the metrics leave out.
    """

    task: ClassVar[str]
    unit: ClassVar[str]  # of the contingency table

    names: tuple[str, str]
    paths: tuple[Path, ...]
    class_names: tuple[str, ...]
    errors: dict[Path, str]
    notes: tuple[str, ...]

    @property
    @abc.abstractmethod
    def agreement(self) -> float:
        """Fraction of the predictions that both models make, in 0..1."""

    @property
    @abc.abstractmethod
    def contingency(self) -> Contingency | None:
        """How many images or ground-truth boxes each gets right; `None` without labels."""

    @property
    @abc.abstractmethod
    def differences(self) -> list[int]:
        """Indices of the images with different predictions, those that differ most first."""

    @property
    @abc.abstractmethod
    def metrics(self) -> list[dict[str, float | None]]:
        """Metrics of each model; empty dicts without labels."""

    @abc.abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Return both predictions for each image, as rows of a table: columns and values."""

    @abc.abstractmethod
    def _tile(self, index: int) -> Tile:
        """Return the picture of an image with both predictions."""

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as plain JSON types."""
        table = self.contingency
        compared: Any = None if table is None else {**vars(table), "mcnemar_p": table.p_value}
        models = zip(MODELS, self.names, self.metrics, strict=True)
        return {
            "task": self.task,
            "images": len(self.paths),
            "unreadable": len(self.errors),
            "models": {key: {"name": name, **metrics} for key, name, metrics in models},
            "agreement": self.agreement,
            "different_images": len(self.differences),
            self.unit: compared,
            "notes": list(self.notes),
        }

    def to_csv(self) -> str:
        """Return the rows as CSV, with a header."""
        rows, table = self.rows(), io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return table.getvalue()

    def sheet(self) -> Image.Image | None:
        """Draw the images that differ most, with file names and both predictions.

        Returns:
            A Pillow image, or `None` if no predictions differ.
        """
        tiles = [self._tile(index) for index in self.differences[:MAX_TILES]]
        side, columns = (SIDE, COLUMNS) if self.task == "classification" else (DETECTION_SIDE, 2)
        width = side if self.task == "classification" else 2 * side + 4
        return draw_contact_sheet(tiles, width, columns)


@dataclass(frozen=True, eq=False)
class ClassificationComparison(Comparison):
    """The predictions of two classifiers.

    Attributes:
        probabilities: of each model a float array `(images, classes)`.
        dataset: the images with their labels; `None` without labels.
    """

    task = "classification"
    unit = "images_right"

    probabilities: tuple[np.ndarray, np.ndarray]
    dataset: ClassificationDataset | None

    @cached_property
    def evaluations(self) -> list[ClassificationEvaluation]:
        """The evaluation of each model; none without labels."""
        if self.dataset is None:
            return []
        return [ClassificationEvaluation(self.dataset, p, self.errors) for p in self.probabilities]

    @cached_property
    def predicted(self) -> list[np.ndarray]:
        """The most probable class of each image, an integer array of each model."""
        return [probabilities.argmax(axis=1) for probabilities in self.probabilities]

    @property
    def agreement(self) -> float:
        """Fraction of the images that both give the same class."""
        a, b = self.predicted
        return float((a == b).mean())

    @property
    def contingency(self) -> Contingency | None:
        """How many images each classifies right; `None` without labels."""
        if self.dataset is None:
            return None
        return Contingency.of(*(classes == self.dataset.labels for classes in self.predicted))

    @cached_property
    def differences(self) -> list[int]:
        """Indices of the images of different classes, the highest confidences first."""
        a, b = self.predicted
        confidence = sum(p.max(axis=1) for p in self.probabilities)
        order = np.argsort(-confidence, kind="stable")
        return [int(i) for i in order if a[i] != b[i]]

    @property
    def metrics(self) -> list[dict[str, float | None]]:
        """Accuracy of each model, with its 95 % confidence interval."""
        if self.dataset is None:
            return [{}, {}]
        found: list[dict[str, float | None]] = []
        for evaluation in self.evaluations:
            low, high = evaluation.interval
            loss = evaluation.loss
            found.append({"accuracy": evaluation.accuracy, "low": low, "high": high, "loss": loss})
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return label, classes and confidences of each image."""
        rows = []
        for i, path in enumerate(self.paths):
            row: dict[str, Any] = {"file": str(path.absolute()), "class": self._label(i)}
            for key, classes, p in zip(MODELS, self.predicted, self.probabilities, strict=True):
                row[f"predicted_{key}"] = self.class_names[classes[i]]
                row[f"confidence_{key}"] = round(float(p[i].max()), DECIMALS)
            rows.append(row)
        return rows

    def _label(self, index: int) -> str:
        return "" if self.dataset is None else self.class_names[self.dataset.labels[index]]

    def _tile(self, index: int) -> Tile:
        image = open_or_blank(self.paths[index], 2 * SIDE, (SIDE, SIDE))
        caption = [(self.paths[index].name, "gray")]
        for key, classes, p in zip(MODELS, self.predicted, self.probabilities, strict=True):
            name, color = self.class_names[classes[index]], UNKNOWN
            if self.dataset is not None:
                color = RIGHT if name == self._label(index) else WRONG
            caption.append((f"{key.upper()}: {name} {p[index].max():.2f}", color))
        if self.dataset is not None:
            caption.append((f"label: {self._label(index)}", UNKNOWN))
        return Tile(_contained(image, SIDE), caption)


@dataclass(frozen=True, eq=False)
class DetectionComparison(Comparison):
    """The detections of two detectors.

    Attributes:
        detections: of each model the detections in each image that are compared: those at the
            score threshold with the best mean F1, or at the model's own without labels.
        evaluations: the `DetectionEvaluation` of each model; none without labels.
    """

    task = "detection"
    unit = "boxes_found"

    detections: tuple[Sequence[Detections], Sequence[Detections]]
    evaluations: tuple[DetectionEvaluation, ...]

    @property
    def dataset(self) -> DetectionDataset | None:
        """The images with their boxes; `None` without labels."""
        return self.evaluations[0].dataset if self.evaluations else None

    @cached_property
    def _matched(self) -> list[int]:
        """Number of pairs of detections of one class and IoU 0.5 or more, in each image."""
        counts = []
        for a, b in zip(*self.detections, strict=True):
            matches = match(a.xyxy, a.class_id, np.zeros(len(a), bool), b)
            counts.append(int(matches.is_true_positive.sum()))
        return counts

    @cached_property
    def unmatched(self) -> list[int]:
        """Number of detections in each image that only one of the models makes."""
        pairs = zip(*self.detections, self._matched, strict=True)
        return [len(a) + len(b) - 2 * matched for a, b, matched in pairs]

    @property
    def agreement(self) -> float:
        """Fraction of the detections that the other model makes, too; 1 where there are none."""
        total = sum(len(item) for detections in self.detections for item in detections)
        return 2 * sum(self._matched) / total if total else 1.0

    @cached_property
    def _found(self) -> list[list[np.ndarray]]:
        """Which ground-truth boxes each model finds in each image."""
        return [
            [
                np.isin(np.arange(len(ignored)), matches.ground_truth)[~ignored]
                for ignored, matches in zip(e.dataset.ignored, e.matches, strict=True)
            ]
            for e in self.evaluations
        ]

    @property
    def contingency(self) -> Contingency | None:
        """How many ground-truth boxes each finds; `None` without labels."""
        if not self.evaluations:
            return None
        return Contingency.of(*(np.concatenate(found) for found in self._found))

    @cached_property
    def differences(self) -> list[int]:
        """Indices of the images with detections of one model only, the most of them first."""
        order = np.argsort(-np.array(self.unmatched), kind="stable")
        return [int(i) for i in order if self.unmatched[i]]

    @property
    def metrics(self) -> list[dict[str, float | None]]:
        """COCO's mAP of each model, and the score threshold of its other numbers."""
        if not self.evaluations:
            return [{}, {}]
        found: list[dict[str, float | None]] = []
        for e in self.evaluations:
            precision, threshold = e.average_precision, e.score_threshold
            numbers = {"map": precision.map, "map50": precision.map50}
            found.append({**numbers, "score_threshold": threshold})
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return the numbers of detections, and of found boxes, of each image."""
        rows = []
        for i, path in enumerate(self.paths):
            row: dict[str, Any] = {"file": str(path.absolute())}
            row |= {
                f"detections_{k}": len(d[i]) for k, d in zip(MODELS, self.detections, strict=True)
            }
            row |= {"in_both": self._matched[i], "in_one": self.unmatched[i]}
            if self.evaluations:
                table = Contingency.of(*(found[i] for found in self._found))
                row["boxes"] = len(self._found[0][i])
                row |= {"found_by_both": table.both, "found_by_a": table.only_a + table.both}
                row |= {"found_by_b": table.only_b + table.both}
            rows.append(row)
        return rows

    def _tile(self, index: int) -> Tile:
        pictures, caption = [], [(self.paths[index].name, "gray")]
        for number, (key, detections) in enumerate(zip(MODELS, self.detections, strict=True)):
            item, side = detections[index], DETECTION_SIDE
            height, width = item.image_size
            image = open_or_blank(self.paths[index], 2 * side, (width, height))
            image = _contained(image, side)
            boxes = item.xyxy * (np.array(image.size * 2) / (width, height, width, height))
            pictures.append(
                draw_boxes(image, replace(item, xyxy=boxes, image_size=image.size[::-1]))
            )
            text = f"{key.upper()}: {len(item)} detections"
            if self.evaluations:
                missed, false = self.evaluations[number].mistakes[index]
                text += f", {missed} missed, {false} false"
            caption.append((text, UNKNOWN))
        left, right = pictures
        pair = Image.new("RGB", (2 * DETECTION_SIDE + 4, left.height), "white")
        pair.paste(left, (0, 0))
        pair.paste(right, (DETECTION_SIDE + 4, 0))
        return Tile(pair, caption)


def _contained(image: Image.Image, side: int) -> Image.Image:
    return ImageOps.contain(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
