"""Reference outputs of a model, stored with its weights to verify them later."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from cspdarknet.checkpoints.architecture import backbone_of, classifier_head, task_of
from cspdarknet.yolox.head import OUTPUTS as DETECTOR_OUTPUTS

CLASSIFIER_OUTPUTS = ("logits", "probs")
REGRESSOR_OUTPUTS = ("targets",)
VALUES = 8  # stored of each output
DEFAULT_SIZE = (64, 96)  # height and width in pixels, where the model does not state them


def reference_outputs(model: Any) -> dict[str, list[float]]:
    """Compute a few values of each output for a fixed noise image.

    Args:
        model: a `CSPDarkNetBackbone`, or an `ImageClassifier`, `ImageRegressor` or
            `YOLOXDetector` with one.

    Returns:
        A dict from output (`"P2"`, ..., and those of the head) to eight values of it.
    """
    backbone = backbone_of(model)
    last = backbone.data_format == "channels_last"
    default = (*DEFAULT_SIZE, 3) if last else (3, *DEFAULT_SIZE)
    shape = [side or other for side, other in zip(backbone.image_shape, default, strict=True)]
    x = np.random.default_rng(0).integers(0, 256, (1, *shape)).astype("float32")
    outputs = compute_outputs(model, x, output_names(model))
    return {name: _sample(np.ravel(array).astype("float64")) for name, array in outputs}


def output_names(model: Any) -> list[str]:
    """Return the names of the feature maps of a model and of its head's outputs."""
    head = {
        "classification": CLASSIFIER_OUTPUTS,
        "detection": DETECTOR_OUTPUTS,
        "regression": REGRESSOR_OUTPUTS,
    }
    return [*backbone_of(model).pyramid_level_inputs, *head.get(task_of(model), ())]


def compute_outputs(
    model: Any, x: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield some outputs of a model for a batch of images.

    Args:
        model: as in `reference_outputs`.
        x: images of 0..255, in the data format of the backbone.
        names: some of `output_names(model)`.

    Yields:
        Name and array of each output: feature maps by level, a classifier's `"logits"` and
        `"probs"`, a regressor's `"targets"`, a detector's raw `"boxes"`, `"objectness"` and
        `"classes"`.
    """
    backbone = backbone_of(model)
    levels = [name for name in names if name in backbone.pyramid_level_inputs]
    if levels:
        yield from backbone.feature_pyramid(levels).predict(x, verbose=0).items()
    of_head = [name for name in names if name not in levels]
    if not of_head:
        return
    if task_of(model) == "detection":
        outputs = model.predict_on_batch(x)
    elif task_of(model) == "regression":
        outputs = {"targets": model.predict_on_batch(x)}
    else:
        last = model.get_layer("predictions")
        ends = {"pooled": last.input, "probs": _uncalibrated(model, last.output)}
        outputs = keras.Model(model.input, ends).predict(x, verbose=0)
        kernel, bias = map(keras.ops.convert_to_numpy, classifier_head(model))
        outputs["logits"] = outputs["pooled"] @ kernel + bias
    yield from ((name, np.asarray(outputs[name])) for name in of_head)


def _uncalibrated(model: Any, predictions: Any) -> Any:
    """Return the probabilities without a temperature, which may change after they are stored."""
    if getattr(model, "temperature", 1) == 1:
        return predictions
    return keras.layers.Activation(model.activation)(predictions)


def _sample(values: np.ndarray) -> list[float]:
    """Return evenly spaced values of an array."""
    return list(values[np.linspace(0, len(values) - 1, VALUES).astype(int)].tolist())
