"""`compare_models`: two models on the same images, with or without labels."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet._image_size import ImageSize
from cspdarknet._labels import MULTI
from cspdarknet.analysis.comparison import (
    ClassificationComparison,
    Comparison,
    DetectionComparison,
)
from cspdarknet.analysis.embedding_cache import Progress
from cspdarknet.data import (
    ClassificationDataset,
    DetectionDataset,
    load_classification_split,
    load_detection_split,
)
from cspdarknet.detections import Detections
from cspdarknet.evaluate import (
    DetectionEvaluation,
    evaluate_classifier,
    evaluate_detector,
    evaluation_predictor,
)
from cspdarknet.images import ImageError, find_images, has_image_suffix
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import ModelInfo, numbered_names
from cspdarknet.score_thresholds import per_class

Advance = Callable[[int], object]


def compare_models(
    a: Any,
    b: Any,
    data: Any,
    *,
    labels: bool = True,
    class_names: Sequence[str] | None = None,
    image_size: ImageSize | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    on_problem: str = "fix",
    format: str | None = None,
    runtime: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Comparison:
    """Compare the predictions of two classifiers, or of two detectors, for the same images.

    Args:
        a: the first model: anything that `Predictor` takes, such as a preset name, a run folder, a
            Keras model or an exported file.
        b: the second model, for the same task and classes.
        data: a dataset with labels or boxes, as of `evaluate`: of a folder the test split, else the
            validation split, else all images; a `ClassificationDataset` or `DetectionDataset`; or
            images, of which only the agreement is measured: a list of files, or one.
        labels: `False` for a folder of images without labels.
        class_names: names of the classes in the order of their ids, if the models have none.
        image_size: image size in pixels; `None` for that of each model.
        batch_size: maximum number of images in a batch; `None` for that of `evaluate`.
        workers: number of threads that decode images.
        on_problem: `"fix"` or `"raise"`, as of `load_classification_split`.
        format: name of the format of the dataset; `None` to recognize it.
        runtime: runtime of both models.
        device: device of both models.
        progress: called with what is done and the number of predictions; returns a function that is
            called with 1 after each of them.

    Returns:
        A `ClassificationComparison` or a `DetectionComparison`.

    Raises:
        ValueError: if the models are for different tasks or classes, or do not fit the data.
        ImportError: if pycocotools is missing, to evaluate detectors.

    Example:
        >>> for name in ("dress", "hat"):
        ...     Path("garments", name).mkdir(parents=True)
        ...     Image.new("RGB", (64, 64), "navy").save(f"garments/{name}/1.png")
        >>> model = load_model("csp_darknet_tiny_clothing")
        >>> comparison = compare_models(model, "csp_darknet_tiny_clothing", "garments")
        >>> comparison.agreement, comparison.contingency.p_value
        (1.0, 1.0)
    """
    labels = labels and not _is_images(data)
    settings: dict[str, Any] = {"runtime": runtime, "device": device, "workers": workers}
    settings |= {"image_size": image_size, "batch_size": batch_size}
    predictors = [_predictor(model, labels, settings) for model in (a, b)]
    known = _common_classes(*(predictor.info for predictor in predictors))
    class_names = _named(known, class_names)
    detects = predictors[0].info.task == "detection"
    names = (_name_of(a), _name_of(b))
    if not labels:
        files = _images(data)
        advance = progress("predicting", 2 * len(files)) if progress else int
        return _agreement(predictors, files, names, class_names, advance)
    if detects:
        require("pycocotools", "detect", "Comparing detectors")
    dataset = _dataset(data, detects, class_names, on_problem, format)
    advance = progress("evaluating", 2 * len(dataset)) if progress else int
    evaluate: Any = evaluate_detector if detects else evaluate_classifier
    evaluations = [evaluate(item, dataset, advance=advance) for item in predictors]
    if detects:
        return _detection_comparison(evaluations, predictors, names)
    rows, paths, errors = _common(*evaluations)
    return ClassificationComparison(
        names,
        tuple(paths),
        class_names,
        errors,
        (),
        (evaluations[0].probabilities[rows[0]], evaluations[1].probabilities[rows[1]]),
        evaluations[0].dataset.take(rows[0]),
    )


def _is_images(data: Any) -> bool:
    """Whether the data are image files, and not a dataset."""
    if isinstance(data, (list, tuple)):
        return all(isinstance(item, (str, Path)) for item in data)
    return isinstance(data, (str, Path)) and has_image_suffix(data) and Path(data).is_file()


def _images(data: Any) -> list[Path]:
    if isinstance(data, (ClassificationDataset, DetectionDataset)):
        return list(data.paths)
    sources = data if isinstance(data, (list, tuple)) else [data]
    return list(dict.fromkeys(file.path for item in sources for file in find_images(item)))


def _predictor(model: Any, labels: bool, settings: dict[str, Any]) -> Predictor:
    if labels:
        return evaluation_predictor(model, **settings)
    size = settings["batch_size"]
    predictor = Predictor(model, mode="throughput", **{**settings, "batch_size": size or 8})
    if predictor.info.task == "features" or predictor.info.raw_outputs:
        raise ValueError(
            "The models must be classifiers or detectors. "
            f"Received: {_name_of(model)}, a model for {predictor.info.task}."
        )
    return predictor


def _name_of(model: Any) -> str:
    return str(model) if isinstance(model, (str, Path)) else f"a {type(model).__name__}"


def _common_classes(a: ModelInfo, b: ModelInfo) -> tuple[str, ...]:
    """Return the classes of two models, named where one of them has names.

    Raises:
        ValueError: if the models are for different tasks or classes, or are regressors or
            multi-label classifiers.
    """
    if a.task != b.task:
        raise ValueError(
            f"The models must be for the same task. Received: one for {a.task}, one for {b.task}."
        )
    if a.task == "regression":
        raise ValueError(
            "Two classifiers or two detectors are compared. Received: models for regression: "
            "`cspdarknet evaluate` writes the errors of each model for each image."
        )
    if MULTI in (a.labels, b.labels):
        raise ValueError(
            "Only models that give one class per image are compared. Received: a multi-label "
            "classifier: evaluate each model with `cspdarknet evaluate`."
        )
    first, second = a.class_names or (), b.class_names or ()
    if len(first) == len(second):
        if first == second or second == numbered_names(len(second)):
            return first
        if first == numbered_names(len(first)):
            return second
    raise ValueError(
        "The models must have the same classes, in the same order. Received: "
        f"{', '.join(first)}; and {', '.join(second)}."
    )


def _named(known: tuple[str, ...], given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names that were given for classes without names, or those of the models."""
    if given is None:
        return known
    if len(given) != len(known) or tuple(given) != known != numbered_names(len(known)):
        raise ValueError(
            f"`class_names` must name the {len(known)} classes of models without names. Received: "
            f"{', '.join(given)}; the models have {', '.join(known)}."
        )
    return tuple(given)


def _dataset(
    data: Any, detects: bool, class_names: tuple[str, ...], on_problem: str, format: str | None
) -> Any:
    if isinstance(data, (ClassificationDataset, DetectionDataset)):
        return data
    load: Any = load_detection_split if detects else load_classification_split
    try:
        return load(data, class_names, on_problem, format).dataset
    except ValueError as error:
        raise ValueError(
            f"{error} The agreement of images without labels is measured with `--unlabeled` (in "
            "Python labels=False)."
        ) from error


def _common(a: Any, b: Any) -> tuple[list[list[int]], list[Path], dict[Path, str]]:
    """Return the indices of the images that both models could read, their paths, and the errors."""
    errors = {**a.errors, **b.errors}
    rows = [[i for i, path in enumerate(e.dataset.paths) if path not in errors] for e in (a, b)]
    if not rows[0]:
        raise ValueError(
            f"Neither model can read the other's images: {next(iter(errors.values()))}"
        )
    return rows, [a.dataset.paths[i] for i in rows[0]], errors


def _detection_comparison(
    evaluations: Sequence[DetectionEvaluation],
    predictors: Sequence[Predictor],
    names: tuple[str, str],
) -> DetectionComparison:
    """Compare evaluations of the same images and limits.

    An exported file has no detections below its own score threshold: neither counts the other
    model's, or the mAPs could not be compared.
    """
    rows, paths, errors = _common(*evaluations)
    dataset = evaluations[0].dataset.take(rows[0])
    infos, classes = [p.info for p in predictors], len(dataset.class_names)
    limits = np.max([per_class(info.score_threshold or 0.0, classes) for info in infos], axis=0)
    most = min(info.max_detections or 10**6 for info in infos)
    notes: tuple[str, ...] = ()
    if limits.max() > min(np.max(info.score_threshold or 0.0) for info in infos):
        shown = " to ".join(f"{value:g}" for value in np.unique([limits.min(), limits.max()]))
        notes = (
            f"Detections below {shown} are left out of both mAPs: a model was exported with this "
            "score threshold.",
        )
    known = dataset.class_names
    compared = [
        DetectionEvaluation(
            dataset,
            tuple(
                replace(_limited(evaluation.detections[i], limits, most), class_names=known)
                for i in indices
            ),
            errors,
        )
        for evaluation, indices in zip(evaluations, rows, strict=True)
    ]
    a, b = (evaluation.kept for evaluation in compared)
    return DetectionComparison(names, tuple(paths), known, errors, notes, (a, b), tuple(compared))


def _notes_of_thresholds(
    predictors: Sequence[Predictor], names: tuple[str, str]
) -> tuple[str, ...]:
    """Return a note if two detectors leave out detections at different score thresholds."""
    thresholds = [predictor.info.score_threshold for predictor in predictors]
    if predictors[0].info.task != "detection" or thresholds[0] == thresholds[1]:
        return ()
    shown = " and ".join(f"{t} ({name})" for t, name in zip(thresholds, names, strict=True))
    return (f"The score thresholds differ: {shown}. Only one model detects objects between them.",)


def _limited(detections: Detections, limits: np.ndarray, most: int) -> Detections:
    kept = detections.confidence >= limits[detections.class_id].astype("float32")
    return detections[np.flatnonzero(kept)[:most]]


def _agreement(
    predictors: Sequence[Predictor],
    files: Sequence[Path],
    names: tuple[str, str],
    class_names: tuple[str, ...],
    advance: Advance,
) -> Comparison:
    """Compare the predictions for images without labels."""
    errors: dict[Path, str] = {}
    found: list[dict[Path, Any]] = []
    for predictor in predictors:
        found.append({})
        for path, result in predictor.stream(files):
            if isinstance(result, ImageError):
                errors[path] = str(result)
            else:
                found[-1][path] = result
            advance(1)
    paths = [path for path in files if path not in errors]
    if not paths:
        reason = next(iter(errors.values()), "there are none")
        raise ValueError(f"None of the images can be read: {reason}")
    first, second = ([results[path] for path in paths] for results in found)
    notes = _notes_of_thresholds(predictors, names)
    common = (names, tuple(paths), class_names, errors, notes)
    if predictors[0].info.task == "detection":
        named = [[replace(d, class_names=class_names) for d in part] for part in (first, second)]
        return DetectionComparison(*common, (named[0], named[1]), ())
    return ClassificationComparison(*common, (np.array(first), np.array(second)), None)
