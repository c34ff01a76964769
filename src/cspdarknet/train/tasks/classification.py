"""The training of image classifiers."""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from cspdarknet._labels import probability_activation
from cspdarknet.data import (
    ClassificationDataset,
    ClassificationSource,
    load_classification_dataset,
)
from cspdarknet.evaluate import ClassificationEvaluation, evaluate_classifier
from cspdarknet.models import ImageClassifier
from cspdarknet.reports import write_classification_report
from cspdarknet.train.focal_loss import FocalCrossentropy
from cspdarknet.train.recipe import ClassificationRecipe, Phase
from cspdarknet.train.tasks.task import Row, Task


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Image classification, with one class for each image.

    Attributes: those of `Task`, and:
        class_names: all classes in the order of their ids; `None` for that of the dataset.
    """

    recipe: ClassificationRecipe
    class_names: tuple[str, ...] | None = None

    name = "classification"
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy")
    validation_metrics: ClassVar[tuple[str, ...]] = ("val_loss", "val_accuracy")
    score = "val_accuracy"
    model_class = ImageClassifier
    source_class: ClassVar[type[Any]] = ClassificationSource
    loader = staticmethod(load_classification_dataset)
    evaluate = staticmethod(evaluate_classifier)
    write_report = staticmethod(write_classification_report)

    def check_data(self, dataset: ClassificationDataset) -> None:
        """Check that each class has an image."""
        if empty := [dataset.class_names[i] for i in np.flatnonzero(dataset.counts == 0)]:
            raise ValueError(
                f"Each class needs a readable training image. Without one: {', '.join(empty)}"
            )

    def build_saved_model(self, model: keras.Model) -> keras.Model:
        """Return a model of the same layers that outputs probabilities in place of logits."""
        activation = probability_activation(self.recipe.labels)
        return self.model_class.from_config({**model.get_config(), "activation": activation})

    @staticmethod
    def _labels(dataset: ClassificationDataset) -> list[np.ndarray]:
        return list(dataset.labels[:, None])

    def _data_arguments(self) -> dict[str, Any]:
        return {"labels": self.recipe.labels, "class_names": self.class_names}

    def _model_arguments(self) -> dict[str, Any]:
        # Temperature and score threshold belong to the weights before the training, and so does
        # a crop, since the sizes of the evaluation are those of the recipe.
        return {
            "activation": None,
            "dropout": self.recipe.dropout,
            "temperature": 1.0,
            "crop": 1.0,
            "labels": self.recipe.labels,
            "score_threshold": None,
        }

    def _source_arguments(self, dataset: ClassificationDataset) -> dict[str, Any]:
        return {"class_weights": class_weights(dataset, self.recipe.class_weights)}

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Compile the model with the cross-entropy or the focal loss."""
        model.compile(optimizer, self._loss(), metrics=["accuracy"])

    def _loss(self) -> keras.losses.Loss:
        smoothing, gamma = self.recipe.label_smoothing, self.recipe.focal_gamma
        if gamma:
            return FocalCrossentropy(gamma, smoothing)
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)

    def begin_phase(self, model: keras.Model, phase: Phase) -> None:
        """Do nothing: the loss is the same in all phases."""

    def validation_row(self, evaluation: ClassificationEvaluation) -> Row:
        """Return loss and accuracy."""
        return {"val_loss": evaluation.loss, "val_accuracy": evaluation.accuracy}

    def tie_break(self, row: Row) -> float:
        """Return the negative loss."""
        return -float(row["val_loss"])


def class_weights(dataset: ClassificationDataset, kind: str) -> np.ndarray | None:
    """Return the weight of each class in the loss.

    Args:
        dataset: the training images.
        kind: `"equal"`, or `"balanced"` for weights inversely proportional to the number of images
            of the class.

    Returns:
        Float32 array `(classes,)` with a mean of 1 over the images; `None` for equal weights.
    """
    if kind == "equal":
        return None
    return (len(dataset) / (len(dataset.class_names) * dataset.counts)).astype("float32")
