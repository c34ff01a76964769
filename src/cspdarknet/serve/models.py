"""`ServedModel`: a model of the server, loaded and tried out before the first request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_count
from cspdarknet._labels import MULTI, THRESHOLD
from cspdarknet.detections import DetectionOptions, Detections
from cspdarknet.inference import Predictor
from cspdarknet.inference.runtimes import available_threads
from cspdarknet.model_info import ModelInfo, is_exported_file
from cspdarknet.score_thresholds import ScoreThreshold

# A detector keeps detections from this confidence on, of which each request selects some.
LOWEST_SCORE_THRESHOLD = 0.05
LONGER_SIDE = 640  # of the images of a backbone, in pixels
GPU_BATCH_SIZE = 8
GRAY = np.full((96, 96, 3), 114, "uint8")  # the image that a model is tried out with


@dataclass(frozen=True)
class ServedModel:
    """A model of the server.

    Args:
        name: its name in requests.
        predictor: its `Predictor`.
        batch_size: maximum number of images in a batch.
        threads: number of batches that are decoded or computed at the same time.
        score_threshold: detectors: the threshold of requests that have none; multi-label
            classifiers: the least probability of a class that an image is said to have.
        lowest_score_threshold: detectors: the threshold below which the model has no detections.
    """

    name: str
    predictor: Any
    batch_size: int = 1
    threads: int = 2
    score_threshold: ScoreThreshold = 0.0
    lowest_score_threshold: ScoreThreshold = 0.0

    @property
    def info(self) -> ModelInfo:
        """Metadata of the model."""
        return self.predictor.info

    def selected(self, detections: Detections, score_threshold: float | None) -> Detections:
        """Return the detections whose confidence reaches a threshold.

        NMS goes from high to low scores, so that this is the same as a threshold of the model.

        Args:
            detections: the detections.
            score_threshold: the threshold; `None` for the model's own.
        """
        threshold = self.score_threshold if score_threshold is None else score_threshold
        least = np.asarray(threshold, "float32")
        if least.ndim:
            least = least[detections.class_id]
        return detections[detections.confidence >= least]


def load_models(
    sources: Sequence[str],
    *,
    batch_size: int | None = None,
    options: DetectionOptions | None = None,
    levels: Sequence[str] | None = None,
    **settings: Any,
) -> list[ServedModel]:
    """Load models, and run each on a gray image.

    Args:
        sources: the models, as for `Predictor`; each may have a name before it, as in
            `cells=yolox_nano_bccd`. Without one it is that of the preset or the file.
        batch_size: maximum number of images in a batch; `None` is 1 on processors, where a batch
            is not faster than its images, and 8 on GPUs.
        options: detectors: options in place of the model's own.
        levels: pyramid levels of the models' backbones, which are served in place of the models.
        **settings: other arguments of `Predictor`, such as `runtime` and `device`.

    Raises:
        ValueError: if two models have one name, or a model cannot be loaded or run.

    Example:
        >>> [model] = load_models(["garments=csp_darknet_tiny_clothing"], runtime="keras")
        >>> model.name, model.info.task
        ('garments', 'classification')
    """
    named = [named_source(source) for source in sources]
    names = [name for name, _ in named]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"Each model must have a name of its own. Received: {', '.join(twice)} twice: put "
            "another name before one, such as second=MODEL."
        )
    models = [_load(name, source, batch_size, options, levels, settings) for name, source in named]
    for model in models:
        try_out(model)
    return models


def named_source(text: str) -> tuple[str, str]:
    """Return the name and the source of a model that is given as `NAME=MODEL` or `MODEL`.

    Example:
        >>> named_source("cells=runs/first"), named_source("runs/first.onnx")
        (('cells', 'runs/first'), ('first', 'runs/first.onnx'))
    """
    name, separator, source = text.partition("=")
    if separator and name and "/" not in name and not Path(text).exists():
        return name, source
    path = Path(text.rstrip("/"))
    return (path.stem if is_exported_file(text) or path.is_file() else path.name), text


def try_out(model: ServedModel) -> None:
    """Run a model on one gray image, and on a batch of them.

    This also compiles it for both.

    Raises:
        ValueError: if it fails, or its outputs are not finite.
    """
    try:
        results = [model.predictor(GRAY)]
        if model.batch_size > 1:
            results += [result for _, result in model.predictor.stream([GRAY] * model.batch_size)]
    except Exception as error:
        raise ValueError(f"{model.name} cannot predict: {error}") from error
    for result in results:
        arrays = result.values() if isinstance(result, Mapping) else [result]
        if not all(isinstance(a, Detections) or np.isfinite(a).all() for a in arrays):
            raise ValueError(
                f"The outputs of a model must be finite. Received: {model.name}, with NaN or "
                "infinite outputs for a gray image: its weights are damaged."
            )


def _load(
    name: str,
    source: str,
    batch_size: int | None,
    options: DetectionOptions | None,
    levels: Sequence[str] | None,
    settings: Mapping[str, Any],
) -> ServedModel:
    """Return a model with the default settings of its task."""
    on_gpu = settings.get("device") in ("cuda", "tensorrt")
    size = check_count("batch_size", batch_size or (GPU_BATCH_SIZE if on_gpu else 1))
    arguments: dict[str, Any] = {"mode": "throughput", "batch_size": size, **settings}
    predictor = Predictor(source, levels=levels, options=options, **arguments)
    info = predictor.info
    if info.raw_outputs:
        raise ValueError(
            f"A served detector must return boxes. Received: {source}, with raw outputs: export it "
            "without --raw-outputs."
        )
    is_exported = is_exported_file(source)
    if info.task == "features" and info.image_size is None and not settings.get("image_size"):
        predictor = Predictor(source, levels=levels, longer_side=LONGER_SIDE, **arguments)
    threshold: Any = 0.0
    lowest: Any = 0.0
    if info.labels == MULTI:
        threshold = THRESHOLD if info.score_threshold is None else info.score_threshold
    elif info.task == "detection":
        threshold = lowest = info.score_threshold or 0.0
        if not is_exported:
            lowest = float(min(LOWEST_SCORE_THRESHOLD, np.min(threshold)))
            low = replace(options or DetectionOptions(), score_threshold=lowest)
            predictor = Predictor(source, options=low, **arguments)
    threads = 2 if on_gpu or predictor.runtime == "keras" else available_threads() + 1
    return ServedModel(name, predictor, size, threads, threshold, lowest)
