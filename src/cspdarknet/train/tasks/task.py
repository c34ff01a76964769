"""The base class of the training tasks: data, model, loss, metrics and report."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np

from cspdarknet._files import OutputFolder
from cspdarknet._image_size import ImageSize
from cspdarknet.data.disk_cache import DiskCache
from cspdarknet.data.repeats import repeated_indices
from cspdarknet.evaluate import evaluation_predictor
from cspdarknet.images import RGB
from cspdarknet.inference import Predictor
from cspdarknet.reports import TrainingRecord
from cspdarknet.train.distillation import DISTILLED
from cspdarknet.train.recipe import BaseRecipe, Phase
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
        shown_metrics: those of them that are printed after each epoch; all if there are none.
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
    shown_metrics: ClassVar[tuple[str, ...]] = ()
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
            data,
            validation_split,
            self.recipe.seed,
            self.on_problem,
            format=self.format,
            **self._data_arguments(),
        )

    def fitted(self, dataset: Any) -> Self:  # noqa: ARG002  (others need it)
        """Return the task with what it takes from the training images: nothing.

        Args:
            dataset: the training images.
        """
        return self

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
            image_size=self.recipe.image_size,
            batch_norm_momentum=self.recipe.batch_norm_momentum,
            dtype=self.recipe.precision,
            **({} if channels is None else {"channels": channels}),
            **self._output_arguments(class_names),
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
    def _labels(dataset: Any) -> list[np.ndarray]:
        """Return the class ids of each image: none, where a task has no classes."""
        return [np.zeros(0, int)] * len(dataset)

    def _data_arguments(self) -> dict[str, Any]:
        """Return the arguments of the loader that only this task has."""
        return {}

    def _output_arguments(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """Return the arguments of the model that say what it predicts."""
        return {"num_classes": len(class_names), "class_names": class_names}

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
