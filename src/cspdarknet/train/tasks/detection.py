"""The training of object detectors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._files import OutputFolder
from cspdarknet._image_size import sides
from cspdarknet.data import DetectionDataset, DetectionSource, load_detection_dataset
from cspdarknet.data.detection.tiles import tiled_dataset
from cspdarknet.evaluate import DetectionEvaluation, evaluate_detector, score_threshold_of
from cspdarknet.models import YOLOXDetector
from cspdarknet.presets.save import save_score_threshold
from cspdarknet.reports import TrainingRecord, write_detection_report
from cspdarknet.train.recipe import DetectionRecipe, Phase
from cspdarknet.train.tasks.task import Row, Task


@dataclass(frozen=True)
class DetectionTask(Task):
    """Object detection."""

    recipe: DetectionRecipe

    name = "detection"
    metrics = ("loss", "box_loss", "objectness_loss", "class_loss", "l1_loss")
    validation_metrics = ("val_map", "val_map50")
    score = "val_map"
    model_class = YOLOXDetector
    source_class = DetectionSource
    requirements = (*Task.requirements, ("pycocotools", "detect"))
    loader = staticmethod(load_detection_dataset)
    evaluate = staticmethod(evaluate_detector)

    def check_data(self, dataset: DetectionDataset) -> None:
        """Do nothing: images without boxes can be trained on."""

    def build_source(self, dataset: Any, *args: Any, **options: Any) -> Any:
        """Return the source of the training batches: of tiles, if the recipe has them."""
        if self.recipe.tiles is not None:
            dataset = tiled_dataset(dataset, self.recipe.tiles)
        return super().build_source(dataset, *args, **options)

    def build_model(self, *args: Any) -> keras.Model:
        """Return the detector to train, whose levels fit the image sizes of the recipe.

        Raises:
            ValueError: if they do not.
        """
        model = super().build_model(*args)
        check_sizes(self.recipe, model.largest_stride)
        return model

    @staticmethod
    def _labels(dataset: DetectionDataset) -> list[np.ndarray]:
        rows = zip(dataset.labels, dataset.ignored, strict=True)
        return [labels[~ignored] for labels, ignored in rows]

    def _model_arguments(self) -> dict[str, Any]:
        levels = {} if self.recipe.levels is None else {"levels": self.recipe.levels}
        return {"bounding_box_format": "xyxy", **levels}

    def _source_arguments(self, _: DetectionDataset) -> dict[str, Any]:
        return {"max_boxes": self.recipe.max_boxes}

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Compile the detector, which has a loss of its own."""
        model.compile(optimizer)

    def begin_phase(self, model: keras.Model, phase: Phase) -> None:
        """Switch the L1 loss on in phases without mosaic and MixUp, as YOLOX does."""
        model.l1_loss = phase.no_mixing

    def validation_row(self, evaluation: DetectionEvaluation) -> Row:
        """Return mAP over IoU 0.5 to 0.95, and at IoU 0.5."""
        metrics = evaluation.average_precision
        return {"val_map": metrics.map or 0.0, "val_map50": metrics.map50 or 0.0}

    def tie_break(self, row: Row) -> float:
        """Return mAP at IoU 0.5."""
        return float(row["val_map50"])

    def finish(self, folder: Path, evaluation: DetectionEvaluation) -> None:
        """Store the score thresholds at which the validation objects are counted right."""
        if proposals := evaluation.thresholds("count"):
            save_score_threshold(folder, score_threshold_of(proposals))

    @staticmethod
    def write_report(
        folder: OutputFolder, evaluation: Any, title: str, training: TrainingRecord
    ) -> None:
        """Write the report of a training, with counts at the score thresholds that it stores."""
        proposals = evaluation.thresholds("count")
        threshold = score_threshold_of(proposals) if proposals else None
        write_detection_report(folder, evaluation, title, training, threshold)


def check_sizes(recipe: DetectionRecipe, stride: int) -> None:
    """Check that the sides of all training images are multiples of a model's largest stride.

    Raises:
        ValueError: if they are not.
    """
    if stride <= recipe.image_size_multiple:
        return
    for phase in recipe.phases:
        if any(side % stride for side in sides(phase.image_size)):
            raise ValueError(
                f"The `image_size` of all phases must be a multiple of {stride} for a model with "
                f"this stride. Received: image_size={phase.image_size}"
            )
    if recipe.augmentation.multi_scale != (1.0, 1.0):
        raise ValueError(
            f"`multi_scale` must be (1, 1) for a model of stride {stride}, since it draws "
            f"multiples of {recipe.image_size_multiple}. Received: multi_scale="
            f"{recipe.augmentation.multi_scale}"
        )
