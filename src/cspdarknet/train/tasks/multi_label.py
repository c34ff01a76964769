"""The training of multi-label classifiers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from cspdarknet._files import OutputFolder
from cspdarknet.data import MultiLabelDataset, MultiLabelSource
from cspdarknet.evaluate import MultiLabelEvaluation, score_threshold_of
from cspdarknet.presets.save import save_score_threshold
from cspdarknet.reports import TrainingRecord, write_classification_report
from cspdarknet.train.label_losses import MultiLabelCrossentropy
from cspdarknet.train.tasks.classification import ClassificationTask
from cspdarknet.train.tasks.task import Row

CRITERION = "f1"  # of the stored score thresholds


@dataclass(frozen=True)
class MultiLabelTask(ClassificationTask):
    """Image classification with any number of classes for each image.

    Attributes: those of `ClassificationTask`, and:
        positive_weights: weight of the positive labels of each class in the loss; `None` for 1.
    """

    positive_weights: tuple[float, ...] | None = None

    metrics = ("loss",)
    validation_metrics = ("val_loss", "val_map")
    score = "val_map"
    source_class = MultiLabelSource

    def fitted(self, dataset: MultiLabelDataset) -> Self:
        """Return the task with the weights of the positive labels."""
        if self.recipe.class_weights == "equal":
            return self
        return replace(self, positive_weights=positive_weights(dataset))

    @staticmethod
    def _labels(dataset: Any) -> list[np.ndarray]:
        return [np.flatnonzero(row) for row in dataset.labels]

    def _source_arguments(self, _: Any) -> dict[str, Any]:
        return {}

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Compile the model with the binary cross-entropy of each class, or its focal loss."""
        model.compile(optimizer, self._loss())

    def _loss(self) -> keras.losses.Loss:
        weights = self.positive_weights
        return MultiLabelCrossentropy(
            self.recipe.focal_gamma,
            self.recipe.label_smoothing,
            None if weights is None else np.array(weights, "float32"),
        )

    def validation_row(self, evaluation: Any) -> Row:
        """Return loss and mean average precision."""
        return {"val_loss": evaluation.loss, "val_map": evaluation.map or 0.0}

    def finish(self, folder: Path, evaluation: MultiLabelEvaluation) -> None:
        """Store the score thresholds of the best F1 on the validation images."""
        if proposals := evaluation.thresholds(CRITERION):
            save_score_threshold(folder, score_threshold_of(proposals))

    @staticmethod
    def write_report(
        folder: OutputFolder,
        evaluation: Any,
        title: str,
        training: TrainingRecord | None = None,
    ) -> None:
        """Write the report of a training, at the score thresholds that it stores."""
        if proposals := evaluation.thresholds(CRITERION):
            evaluation = evaluation.at([proposal.threshold for proposal in proposals])
        write_classification_report(folder, evaluation, title, training)


def positive_weights(dataset: MultiLabelDataset) -> tuple[float, ...]:
    """Return the number of images without each class, divided by that of images with it.

    Positive and negative labels of a class then have the same sum of weights. The weight is at
    least that of one image without the class.
    """
    counts = np.maximum(dataset.counts, 1)
    weights = np.maximum(len(dataset) - counts, 1) / counts
    return tuple(weights.tolist())
