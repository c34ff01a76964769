"""The training tasks: data, model, loss, metrics and report of classification and detection."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from cspdarknet._files import OutputFolder
from cspdarknet._image_size import ImageSize, sides
from cspdarknet.data import (
    ClassificationDataset,
    ClassificationSource,
    DetectionDataset,
    DetectionSource,
    load_classification_dataset,
    load_detection_dataset,
)
from cspdarknet.data.detection.tiles import tiled_dataset
from cspdarknet.data.disk_cache import DiskCache
from cspdarknet.data.repeats import repeated_indices
from cspdarknet.evaluate import (
    ClassificationEvaluation,
    DetectionEvaluation,
    evaluate_classifier,
    evaluate_detector,
    evaluation_predictor,
    score_threshold_of,
)
from cspdarknet.images import RGB
from cspdarknet.inference import Predictor
from cspdarknet.models import ImageClassifier, YOLOXDetector
from cspdarknet.presets.save import save_score_threshold
from cspdarknet.reports import (
    TrainingRecord,
    write_classification_report,
    write_detection_report,
)
from cspdarknet.train.distillation import DISTILLED
from cspdarknet.train.focal_loss import FocalCrossentropy
from cspdarknet.train.recipe import BaseRecipe, ClassificationRecipe, DetectionRecipe, Phase
from cspdarknet.train.teacher import Teacher

Row = dict[str, Any]


@dataclass(frozen=True)
class Task(abc.ABC):
    """A training task: data, model, loss, metrics and report.

    Attributes:
        recipe: the recipe of the training.
        on_problem: what is done about invalid annotations: `"raise"` or `"fix"`.
        format: name of the format of the dataset; `None` to recognize it.
        teacher: the teacher of a distillation; `None` to train without one.
        name: name of the task, as in `run.json`.
        metrics: metrics of a training step, the loss first. An epoch has their means.
        validation_metrics: metrics of an evaluation.
        score: the validation metric that the best epoch is chosen by; higher is better.
        model_class: class of the model.
        source_class: class of the source of the training batches.
        loader: the function that loads a dataset.
        requirements: modules that the training needs, and the extra that installs each.
    """

    recipe: BaseRecipe
    on_problem: str = "raise"
    format: str | None = None
    teacher: Teacher | None = None

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    validation_metrics: ClassVar[tuple[str, ...]]
    score: ClassVar[str]
    model_class: ClassVar[type[Any]]
    source_class: ClassVar[type[Any]]
    loader: ClassVar[Callable[..., Any]]
    requirements: ClassVar[tuple[tuple[str, str], ...]] = (
        ("grain", "train"),
        ("matplotlib", "train"),
    )

    def load_data(self, data: Any, validation_split: float) -> Any:
        """Return the splits of a dataset."""
        return self.loader(
            data, validation_split, self.recipe.seed, self.on_problem, format=self.format
        )

    @abc.abstractmethod
    def check_data(self, dataset: Any) -> None:
        """Check that a dataset can be trained on.

        Raises:
            ValueError: if it cannot.
        """

    def build_model(
        self, preset: str | Path, load_weights: bool | None, class_names: tuple[str, ...]
    ) -> keras.Model:
        """Return the model to train, with the weights of a preset."""
        channels = self.recipe.channels
        distills = self.teacher is not None
        model_class = DISTILLED[self.model_class] if distills else self.model_class
        model: keras.Model = model_class.from_preset(
            preset,
            load_weights,
            num_classes=len(class_names),
            class_names=class_names,
            image_size=self.recipe.image_size,
            batch_norm_momentum=self.recipe.batch_norm_momentum,
            dtype=self.recipe.precision,
            **({} if channels is None else {"channels": channels}),
            **self._model_arguments(),
        )
        model.teacher = self.teacher
        return model

    def build_saved_model(self, model: keras.Model) -> keras.Model:
        """Return a model of the same layers for the weights that are evaluated and saved."""
        return self.model_class.from_config(model.get_config())

    def build_source(
        self,
        dataset: Any,
        workers: int,
        process: tuple[int, int],
        disk_cache: DiskCache | None = None,
        channels: int = RGB,
    ) -> Any:
        """Return the source of the training batches."""
        if threshold := self.recipe.repeat_threshold:
            labels = self._labels(dataset)
            seed, num_classes = self.recipe.seed, len(dataset.class_names)
            dataset = dataset.take(repeated_indices(labels, threshold, seed, num_classes))
        return self.source_class(
            dataset=dataset,
            augmentation=self.recipe.augmentation,  # type: ignore[attr-defined]
            batch_size=self.recipe.batch_size,
            seed=self.recipe.seed,
            workers=workers,
            process=process,
            disk_cache=disk_cache,
            channels=channels,
            **self._source_arguments(dataset),
        )

    def build_predictor(self, model: keras.Model, image_size: ImageSize, workers: int) -> Predictor:
        """Return a `Predictor` of a saved model, for evaluations at an image size."""
        tiles = getattr(self.recipe, "tiles", None)
        return evaluation_predictor(
            model, self.name, image_size=image_size, workers=workers, tiles=tiles
        )

    @staticmethod
    @abc.abstractmethod
    def _labels(dataset: Any) -> list[np.ndarray]:
        """Return the class ids of each image."""

    @abc.abstractmethod
    def _model_arguments(self) -> dict[str, Any]:
        """Return the arguments of the model that only this task has."""

    @abc.abstractmethod
    def _source_arguments(self, dataset: Any) -> dict[str, Any]:
        """Return the arguments of the source that only this task has."""

    @abc.abstractmethod
    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Compile the model for training."""

    @abc.abstractmethod
    def begin_phase(self, model: keras.Model, phase: Phase) -> None:
        """Apply the settings of a phase to the loss of a compiled model."""

    @staticmethod
    @abc.abstractmethod
    def evaluate(model: Any, dataset: Any) -> Any:
        """Return the evaluation of a `Predictor` on a dataset."""

    @abc.abstractmethod
    def validation_row(self, evaluation: Any) -> Row:
        """Return the validation metrics of an evaluation."""

    @abc.abstractmethod
    def tie_break(self, row: Row) -> float:
        """Return a second score that decides between epochs of equal score; higher is better."""

    def finish(self, folder: Path, evaluation: Any) -> None:  # noqa: B027
        """Store in the best model what its evaluation decides: nothing.

        Args:
            folder: its preset folder.
            evaluation: its evaluation on the validation dataset.
        """

    @staticmethod
    @abc.abstractmethod
    def write_report(
        folder: OutputFolder, evaluation: Any, title: str, training: TrainingRecord
    ) -> None:
        """Write the report of a training, given the evaluation of its best model."""


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Image classification."""

    recipe: ClassificationRecipe

    name = "classification"
    metrics = ("loss", "accuracy")
    validation_metrics = ("val_loss", "val_accuracy")
    score = "val_accuracy"
    model_class = ImageClassifier
    source_class = ClassificationSource
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
        return self.model_class.from_config({**model.get_config(), "activation": "softmax"})

    @staticmethod
    def _labels(dataset: ClassificationDataset) -> list[np.ndarray]:
        return list(dataset.labels[:, None])

    def _model_arguments(self) -> dict[str, Any]:
        # A temperature belongs to the weights before the training.
        return {"activation": None, "dropout": self.recipe.dropout, "temperature": 1.0}

    def _source_arguments(self, dataset: ClassificationDataset) -> dict[str, Any]:
        return {"class_weights": class_weights(dataset, self.recipe.class_weights)}

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Compile the model with the cross-entropy or the focal loss."""
        smoothing, gamma = self.recipe.label_smoothing, self.recipe.focal_gamma
        if gamma:
            loss = FocalCrossentropy(gamma, smoothing)
        else:
            loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        model.compile(optimizer, loss, metrics=["accuracy"])

    def begin_phase(self, model: keras.Model, phase: Phase) -> None:
        """Do nothing: the loss is the same in all phases."""

    def validation_row(self, evaluation: ClassificationEvaluation) -> Row:
        """Return loss and accuracy."""
        return {"val_loss": evaluation.loss, "val_accuracy": evaluation.accuracy}

    def tie_break(self, row: Row) -> float:
        """Return the negative loss."""
        return -float(row["val_loss"])


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
