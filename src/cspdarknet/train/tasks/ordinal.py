"""The training of classifiers of ordered classes."""

from dataclasses import dataclass
from typing import Any

import keras

from cspdarknet.train.label_losses import OrdinalCrossentropy
from cspdarknet.train.tasks.classification import ClassificationTask
from cspdarknet.train.tasks.task import Row


@dataclass(frozen=True)
class OrdinalTask(ClassificationTask):
    """Image classification with classes in order, from low to high."""

    validation_metrics = ("val_loss", "val_accuracy", "val_kappa")
    score = "val_kappa"

    def _loss(self) -> keras.losses.Loss:
        return OrdinalCrossentropy(super()._loss())

    def validation_row(self, evaluation: Any) -> Row:
        """Return loss, accuracy and the quadratic weighted kappa."""
        return {**super().validation_row(evaluation), "val_kappa": evaluation.kappa}
