"""`evaluate_classifier`: the predictions of a classifier of any kind of labels on a dataset."""

from collections.abc import Callable
from typing import Any, overload

import numpy as np

from cspdarknet._image_size import ImageSize
from cspdarknet._labels import ORDINAL, THRESHOLD
from cspdarknet.data.classification.dataset import ClassificationDataset, MultiLabelDataset
from cspdarknet.evaluate.classification import ClassificationEvaluation
from cspdarknet.evaluate.multi_label import MultiLabelEvaluation
from cspdarknet.evaluate.ordinal import OrdinalEvaluation
from cspdarknet.evaluate.predictions import predict_dataset
from cspdarknet.score_thresholds import per_class


@overload
def evaluate_classifier(  # type: ignore[overload-overlap]
    model: Any,
    dataset: MultiLabelDataset,
    *,
    image_size: ImageSize | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    advance: Callable[[int], object] = int,
) -> MultiLabelEvaluation: ...
@overload
def evaluate_classifier(
    model: Any,
    dataset: ClassificationDataset,
    *,
    image_size: ImageSize | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    advance: Callable[[int], object] = int,
) -> ClassificationEvaluation: ...
def evaluate_classifier(
    model: Any,
    dataset: ClassificationDataset,
    *,
    image_size: ImageSize | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    advance: Callable[[int], object] = int,
) -> ClassificationEvaluation | MultiLabelEvaluation:
    """Classify the images of a dataset, and compare with their labels.

    Args:
        model: an `ImageClassifier`, which is run by Keras; anything else that `Predictor` takes,
            such as a preset name, a run folder or an exported file; or a `Predictor`.
        dataset: the images and their labels.
        image_size: side in pixels of the center crop; `None` for the model's own, or that of the
            `Predictor`.
        batch_size: batch size; `None` for 32. A `Predictor` has its own.
        workers: number of threads that decode images; a `Predictor` has its own.
        advance: called with the number of images done, for a progress bar.

    Returns:
        A `ClassificationEvaluation`; an `OrdinalEvaluation` of a classifier of ordered classes; or
        a `MultiLabelEvaluation` of a multi-label classifier, which needs a `MultiLabelDataset`.
        Images that cannot be read are left out, and named in its `errors`.

    Raises:
        ValueError: if the model is not a classifier, its classes or the kind of its labels are not
            those of the dataset, or no image can be read.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> classifier = ImageClassifier.from_preset("csp_darknet_tiny", num_classes=2)
        >>> dataset = ClassificationDataset(("sky", "sea"), (Path("sea.png"),), np.array([1]))
        >>> len(evaluate_classifier(classifier, dataset, image_size=64).probabilities)
        1
    """
    predictions = predict_dataset(
        model,
        dataset,
        "classification",
        image_size=image_size,
        batch_size=batch_size,
        workers=workers,
        advance=advance,
    )
    readable, info = predictions.dataset, predictions.info
    probabilities = np.array(predictions.results, "float64")
    if isinstance(readable, MultiLabelDataset):
        limit = THRESHOLD if info.score_threshold is None else info.score_threshold
        limits = per_class(limit, len(readable.class_names))
        return MultiLabelEvaluation(readable, probabilities, predictions.errors, limits)
    kind = OrdinalEvaluation if info.labels == ORDINAL else ClassificationEvaluation
    return kind(readable, probabilities, predictions.errors)
