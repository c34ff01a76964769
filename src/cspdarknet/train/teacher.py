"""The teacher of a distillation: a trained model whose outputs are targets of another one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._arguments import check_positive
from cspdarknet.models import load_model
from cspdarknet.train import distributed

PREFIX = "teacher_"  # of the teacher's outputs among the targets of a batch


@dataclass(frozen=True)
class Teacher:
    """Options of distillation, in which a model learns from the outputs of a larger one, too.

    Args:
        model: the teacher: everything that `load_model` takes. It must have the classes of the
            dataset; of a detector, the strides of the model that is trained, too.
        weight: factor of the teacher's loss, which is added to that of the annotations.
        temperature: classifiers: number that the logits of both models are divided by.

    Raises:
        ValueError: if a value is out of range.
    """

    model: str | Path
    weight: float = 1.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not isinstance(self.model, (str, Path)):
            raise ValueError(
                "`model` of a Teacher must be a name or path, as of `load_model`. Received: "
                f"a {type(self.model).__name__}: save it to a preset folder."
            )
        for name in ("weight", "temperature"):
            object.__setattr__(self, name, check_positive(name, getattr(self, name)))


def as_teacher(teacher: Any) -> Teacher | None:
    """Return the options of an argument `teacher`: a `Teacher`, a name or path, or `None`."""
    return teacher if teacher is None or isinstance(teacher, Teacher) else Teacher(teacher)


class LoadedTeacher:
    """A teacher that is ready to compute its outputs for training batches.

    Args:
        options: the options.
        task: the task of the training.
        class_names: names of the classes of the dataset.

    Attributes:
        settings: options and checksum of the weights, which decide the result of a training.

    Raises:
        ValueError: if the teacher cannot be loaded, or is for other classes.
    """

    def __init__(self, options: Teacher, task: str, class_names: tuple[str, ...]) -> None:
        # Logits of a classifier: probabilities in float32 would lose the small ones.
        is_classifier = task == "classification"
        arguments: dict[str, Any] = (
            {"activation": None, "temperature": 1.0} if is_classifier else {}
        )
        self._model = load_model(options.model, task, **arguments)
        self._name = str(options.model)
        self._check_classes(class_names)
        self.settings = {
            "model": self._name,
            "weight": options.weight,
            "temperature": options.temperature,
            "sha256": _sha256(self._model),
        }

    def _check_classes(self, class_names: tuple[str, ...]) -> None:
        names, count = self._model.class_names, self._model.num_classes
        if count != len(class_names) or (names is not None and tuple(names) != class_names):
            received = ", ".join(names or [f"{count} classes without names"])
            raise ValueError(
                "The teacher must have the classes of the dataset, in the same order: "
                f"{', '.join(class_names)}. Received: {self._name} with {received}: train the "
                "teacher on this dataset first."
            )

    def check_fits(self, student: keras.Model) -> None:
        """Check that the teacher has an output for each output of the model that is trained.

        Raises:
            ValueError: if it has other strides, or takes other images.
        """
        for name, remedy in (
            ("strides", "choose a teacher with the same pyramid levels"),
            ("channels", "choose a teacher for such images"),
            ("labels", "choose a teacher with such labels"),
        ):
            own, wanted = (getattr(model, name, None) for model in (self._model, student))
            if own != wanted:
                raise ValueError(
                    f"The teacher must have the `{name}` of the model that is trained, {wanted}. "
                    f"Received: {self._name} with {own}: {remedy}."
                )

    def targets(self, images: np.ndarray, targets: Any) -> dict[str, Any]:
        """Return the targets of a batch with the outputs of the teacher added.

        Args:
            images: float array `(batch, height, width, channels)`.
            targets: the targets of the annotations: a dict, or the labels of classifiers.
        """
        if self._model.backbone.data_format == "channels_first":
            images = images.transpose(0, 3, 1, 2)
        with distributed.on_one_device():
            outputs = self._model.predict_on_batch(images)
        if not isinstance(outputs, Mapping):
            return {"labels": targets, f"{PREFIX}logits": np.asarray(outputs)}
        return {**targets, **{f"{PREFIX}{k}": np.asarray(v) for k, v in outputs.items()}}


def _sha256(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight, "float32").tobytes())
    return digest.hexdigest()
