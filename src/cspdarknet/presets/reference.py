"""Reference outputs of a model, stored with converted weights to verify them later."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from cspdarknet.checkpoints.architecture import is_detector, parts
from cspdarknet.yolox.head import OUTPUTS as DETECTOR_OUTPUTS

HEAD_OUTPUTS = ("logits", "probs")


def reference_outputs(model: Any) -> dict[str, list[float]]:
    """Return eight numbers of each output for a fixed noise image, to store with a model."""
    backbone, head = parts(model)
    size = [
        pixels or default
        for pixels, default in zip(backbone.image_shape, _default(backbone), strict=True)
    ]
    x = np.random.default_rng(0).integers(0, 256, (1, *size)).astype("float32")
    own = DETECTOR_OUTPUTS if is_detector(model) else HEAD_OUTPUTS if head else ()
    names = [*backbone.pyramid_level_inputs, *own]
    picked = {name: np.ravel(value).astype("float64") for name, value in _outputs(model, x, names)}
    return {
        name: values[np.linspace(0, len(values) - 1, 8).astype(int)].tolist()
        for name, values in picked.items()
    }


def _outputs(model: Any, x: Any, names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what a model computes of an image: feature maps by level, and a head's outputs."""
    backbone, head = parts(model)
    levels = [name for name in names if name in backbone.pyramid_level_inputs]
    if levels:
        yield from backbone.feature_pyramid(levels).predict(x, verbose=0).items()
    if is_detector(model):
        found = model.predict_on_batch(x)
        yield from ((name, np.asarray(found[name])) for name in DETECTOR_OUTPUTS if name in names)
    elif wanted := [name for name in HEAD_OUTPUTS if name in names]:
        last = model.get_layer("predictions")
        found = keras.Model(model.input, {"vector": last.input, "probs": last.output}).predict(
            x, verbose=0
        )
        kernel, bias = map(keras.ops.convert_to_numpy, head)
        found["logits"] = found["vector"] @ kernel + bias
        yield from ((name, found[name]) for name in wanted)


def _default(model: Any) -> tuple[int, int, int]:
    return (64, 96, 3) if model.data_format == "channels_last" else (3, 64, 96)
