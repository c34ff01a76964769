"""What a training is for: its loss, the figures that are shown, and the score that counts."""

from dataclasses import dataclass
from typing import Any, Protocol

import keras

from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.evaluate import evaluate
from cspdarknet.evaluate.detection import evaluate_detector
from cspdarknet.train.recipe import Phase

Row = dict[str, Any]
EVALUATION_BATCH = 32


class Task(Protocol):
    """What the loop needs to know of a task.

    Attributes:
        figures: what a training step tells, of which an epoch shows the means; the loss first.
        validation_figures: what `evaluate` returns.
        score: the one of them that decides which epoch is the best.
    """

    figures: tuple[str, ...]
    validation_figures: tuple[str, ...]
    score: str

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Prepare the model for training."""

    def begin(self, model: keras.Model, stage: Phase) -> None:
        """Set what a stage changes in the loss."""

    def evaluate(self, model: keras.Model, size: int, workers: int) -> Row:
        """Return the validation figures of a finished model."""

    def tie_break(self, row: Row) -> tuple[float, ...]:
        """Order epochs of the same score."""


@dataclass
class Classification:
    """Telling the class of a photo.

    Attributes:
        validation: the photos to evaluate on.
        label_smoothing: share of the label that is spread over all classes.
    """

    validation: ClassificationDataset
    label_smoothing: float
    figures: tuple[str, ...] = ("loss", "accuracy")
    validation_figures: tuple[str, ...] = ("val_loss", "val_accuracy")
    score: str = "val_accuracy"

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Prepare the model, whose outputs are logits."""
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=self.label_smoothing
        )
        model.compile(optimizer, loss, metrics=["accuracy"])

    def begin(self, model: keras.Model, stage: Phase) -> None:
        """The loss is the same in all stages."""

    def evaluate(self, model: keras.Model, size: int, workers: int) -> Row:
        """Return loss and accuracy on the validation photos."""
        found = evaluate(
            model, self.validation, size=size, batch_size=EVALUATION_BATCH, workers=workers
        )
        return {"val_loss": found.loss, "val_accuracy": found.accuracy}

    def tie_break(self, row: Row) -> tuple[float, ...]:
        """The lower loss is the better one."""
        return (-row["val_loss"],) if row["val_loss"] is not None else ()


@dataclass
class Detection:
    """Finding objects.

    Attributes:
        validation: the photos to evaluate on.
    """

    validation: DetectionDataset
    figures: tuple[str, ...] = ("loss", "box_loss", "objectness_loss", "class_loss", "l1_loss")
    validation_figures: tuple[str, ...] = ("val_map", "val_map50")
    score: str = "val_map"

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Prepare the detector, which has a loss of its own."""
        model.compile(optimizer)

    def begin(self, model: keras.Model, stage: Phase) -> None:
        """Switch the L1 loss on for photos as they are."""
        model.l1_loss = stage.no_mixing

    def evaluate(self, model: keras.Model, size: int, workers: int) -> Row:
        """Return COCO's mAP on the validation photos."""
        found = evaluate_detector(model, self.validation, image_size=size, workers=workers)
        figures = found.average_precision
        return {"val_map": figures.map or 0.0, "val_map50": figures.map50 or 0.0}

    def tie_break(self, row: Row) -> tuple[float, ...]:
        """By mAP at the lower overlap."""
        return (row["val_map50"],) if row["val_map50"] is not None else ()
