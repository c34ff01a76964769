"""Predictions of a model for the images of a dataset, shared by both evaluations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple

from cspdarknet.data.dataset import AnyDataset
from cspdarknet.detections import DetectionOptions
from cspdarknet.images import ImageError
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import is_exported_file, numbered_names


class DatasetPredictions(NamedTuple, Generic[AnyDataset]):
    """The results of a model for a dataset.

    Attributes:
        dataset: the images that could be read, with their annotations.
        results: the result of a `Predictor` for each of them.
        errors: why the other images could not be read, by path.
    """

    dataset: AnyDataset
    results: list[Any]
    errors: dict[Path, str]


def predict_dataset(
    model: Any,
    dataset: AnyDataset,
    task: str,
    *,
    image_size: int | None,
    batch_size: int,
    workers: int,
    advance: Callable[[int], object],
    options: DetectionOptions | None = None,
) -> DatasetPredictions[AnyDataset]:
    """Predict all images of a dataset.

    Args:
        model: a `Predictor`, or anything that `Predictor` takes. A Keras model is run by Keras.
        dataset: the images and their annotations.
        task: `"classification"` or `"detection"`.
        image_size: image size in pixels; `None` for the model's own.
        batch_size: batch size.
        workers: number of threads that decode images.
        advance: called with 1 after each image.
        options: detectors: thresholds in place of the model's. Those of a `Predictor` and of an
            exported file are fixed.

    Raises:
        ValueError: if the model is for another task or other classes, or no image can be read.
    """
    if not hasattr(model, "stream"):
        is_named = isinstance(model, (str, Path))
        model = Predictor(
            model,
            runtime=None if is_named else "keras",
            mode="throughput",
            image_size=image_size,
            batch_size=max(1, min(batch_size, len(dataset))),
            workers=workers,
            options=None if is_exported_file(model) else options,
        )
    elif image_size is not None:
        raise ValueError(
            "`image_size` must be left out for a Predictor, which has its own. "
            f"Received: {image_size=}"
        )
    _check_model(model, dataset.class_names, task)
    readable, results, errors = [], [], {}
    for i, (path, result) in enumerate(model.stream(dataset.paths)):
        if isinstance(result, ImageError):
            errors[path] = str(result)
        else:
            readable.append(i)
            results.append(result)
        advance(1)
    if not readable:
        reason = next(iter(errors.values()), "the dataset is empty")
        raise ValueError(f"None of the images can be read: {reason}")
    return DatasetPredictions(dataset.take(readable), results, errors)


def _check_model(predictor: Predictor, class_names: tuple[str, ...], task: str) -> None:
    info = predictor.info
    if info.task != task or info.raw_outputs:
        received = "raw outputs of a detector" if info.raw_outputs else info.task
        raise ValueError(f"The model must be for {task}. Received: a model for {received}.")
    known = predictor.class_names
    has_names = known != numbered_names(len(known))
    if known != class_names if has_names else len(known) not in (0, len(class_names)):
        raise ValueError(
            "The classes of the dataset must be those of the model, in the same order. Received: "
            f"{', '.join(class_names)}; the model has {', '.join(known)}."
        )
