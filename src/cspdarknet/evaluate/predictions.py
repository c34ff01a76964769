"""Predictions of a model for the images of a dataset, shared by both evaluations."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, NamedTuple

from cspdarknet._image_size import ImageSize
from cspdarknet._labels import MULTI
from cspdarknet.checkpoints.architecture import task_of
from cspdarknet.data.classification.dataset import MultiLabelDataset
from cspdarknet.data.dataset import AnyDataset, ImageDataset
from cspdarknet.detections import DetectionOptions
from cspdarknet.images import ImageError
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import ModelInfo, is_exported_file, numbered_names, read_model_info
from cspdarknet.presets.config import BEST
from cspdarknet.presets.sources import locate
from cspdarknet.score_thresholds import DEFAULT, ScoreThreshold, check_score_threshold

# Like YOLOX's evaluation: nearly all detections, since mAP measures precision at every score.
EVALUATION_OPTIONS = DetectionOptions(score_threshold=0.001, max_detections=300)
BATCH_SIZES = {"classification": 32, "detection": 8, "regression": 32}


class DatasetPredictions(NamedTuple, Generic[AnyDataset]):
    """The results of a model for a dataset.

    Attributes:
        dataset: the images that could be read, with their annotations.
        results: the result of a `Predictor` for each of them.
        errors: why the other images could not be read, by path.
        info: the metadata of the model.
    """

    dataset: AnyDataset
    results: list[Any]
    errors: dict[Path, str]
    info: ModelInfo


def evaluation_predictor(
    model: Any,
    task: str | None = None,
    *,
    which: str = BEST,
    runtime: str | None = None,
    batch_size: int | None = None,
    options: DetectionOptions | None = None,
    **settings: Any,
) -> Predictor:
    """Make a `Predictor` with the options of an evaluation.

    Args:
        model: anything that `Predictor` takes.
        task: `"classification"`, `"detection"` or `"regression"`; `None` for any of them.
        which: the model of a run folder, `"best"` or `"last"`.
        runtime: name of the runtime; `None` for Keras if the model is a Keras model, else for the
            preferred one.
        batch_size: batch size; `None` for that of the task in `BATCH_SIZES`.
        options: detectors: what else than `EVALUATION_OPTIONS` differs from the model's own, such
            as the kind of NMS.
        **settings: other arguments of `Predictor`.

    Raises:
        ValueError: if the model is for another task, or an argument does not fit it.
    """
    if is_exported_file(model) and which == BEST:
        info = read_model_info(model)
        if info is None:
            return Predictor(model)  # raises: there is no such file, or it is another one
        _check_task(info.task, info.raw_outputs, task)
        found = info.task
        # The evaluation leaves out other classes; the rest is fixed in the file.
        fixed = replace(options or DetectionOptions(), classes=None)
        settings["options"] = None if fixed == DetectionOptions() else fixed
    else:
        if isinstance(model, (str, Path)):
            model, found = _find_model(model, which)
        else:
            runtime, found = runtime or "keras", task_of(model)
        _check_task(found, False, task)
        settings["options"] = _evaluation_options(options) if found == "detection" else options
    size = BATCH_SIZES[found] if batch_size is None else batch_size
    return Predictor(model, runtime=runtime, mode="throughput", batch_size=size, **settings)


def _evaluation_options(options: DetectionOptions | None) -> DetectionOptions:
    low, most = EVALUATION_OPTIONS.score_threshold, EVALUATION_OPTIONS.max_detections
    return replace(options or DetectionOptions(), score_threshold=low, max_detections=most)


def _find_model(source: str | Path, which: str) -> tuple[Any, str]:
    """Return what a `Predictor` takes for the name or path of a model, and the model's task."""
    paths = locate(source, which=which)
    if paths.config is not None:
        return paths.folder or source, paths.config.task
    from cspdarknet.models.load import build_model

    model = build_model(paths.open())
    return model, task_of(model)


def stored_score_threshold(source: str | Path, which: str = BEST) -> ScoreThreshold | None:
    """Return the score thresholds by which a detector detects, if none are given.

    Args:
        source: name or path of a detector, or an exported file.
        which: the model of a run folder, `"best"` or `"last"`.

    Returns:
        One number, or one for each class; `None` where an exported file does not state it.
    """
    if is_exported_file(source):
        info = read_model_info(source)
        return None if info is None else info.score_threshold
    config = locate(source, which=which).config
    head = {} if config is None or config.head is None else config.head
    return check_score_threshold(head.get("score_threshold", DEFAULT))


def predict_dataset(
    model: Any,
    dataset: AnyDataset,
    task: str,
    *,
    image_size: ImageSize | None,
    batch_size: int | None,
    workers: int,
    advance: Callable[[int], object],
) -> DatasetPredictions[AnyDataset]:
    """Predict all images of a dataset.

    Args:
        model: a `Predictor`, or anything that `Predictor` takes. A Keras model is run by Keras.
        dataset: the images and their annotations.
        task: `"classification"`, `"detection"` or `"regression"`.
        image_size: image size in pixels; `None` for the model's own.
        batch_size: batch size; `None` for that of the task.
        workers: number of threads that decode images.
        advance: called with 1 after each image.

    Raises:
        ValueError: if the model is for another task, other classes or another kind of labels, or
            no image can be read.
    """
    if not hasattr(model, "stream"):
        model = evaluation_predictor(
            model, task, image_size=image_size, batch_size=batch_size, workers=workers
        )
    elif image_size is not None:
        raise ValueError(
            "`image_size` must be left out for a Predictor, which has its own. "
            f"Received: {image_size=}"
        )
    _check_task(model.info.task, model.info.raw_outputs, task)
    _check_classes(model, dataset.class_names)
    _check_labels(model.info, dataset)
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
    return DatasetPredictions(dataset.take(readable), results, errors, model.info)


def _check_task(found: str, raw_outputs: bool, task: str | None) -> None:
    if raw_outputs or found not in ([task] if task else BATCH_SIZES):
        received = "raw outputs of a detector" if raw_outputs else found
        raise ValueError(
            f"The model must be for {task or ' or '.join(BATCH_SIZES)}. "
            f"Received: a model for {received}."
        )


def _check_labels(info: ModelInfo, dataset: ImageDataset) -> None:
    is_multi_label = isinstance(dataset, MultiLabelDataset)
    if info.task == "classification" and (info.labels == MULTI) != is_multi_label:
        kind = MULTI if info.labels == MULTI else "single"
        raise ValueError(
            f"The dataset must have the labels of the model: load it with labels={kind!r}. "
            f"Received: a {type(dataset).__name__}, and a model with labels={info.labels!r}"
        )


def _check_classes(predictor: Predictor, class_names: tuple[str, ...]) -> None:
    if predictor.info.task == "regression":
        _check_targets(predictor.info.targets or (), class_names)
        return
    known = predictor.class_names
    has_names = known != numbered_names(len(known))
    if known != class_names if has_names else len(known) not in (0, len(class_names)):
        raise ValueError(
            "The classes of the dataset must be those of the model, in the same order. Received: "
            f"{', '.join(class_names)}; the model has {', '.join(known)}."
        )


def _check_targets(known: tuple[str, ...], targets: tuple[str, ...]) -> None:
    if known != targets:
        raise ValueError(
            "The targets of the dataset must be those of the model, in the same order. Received: "
            f"{', '.join(targets)}; the model has {', '.join(known)}."
        )
