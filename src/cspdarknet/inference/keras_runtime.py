"""Keras models: where they come from, and how they run behind the runtimes' interface."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector


def of_levels(model: keras.Model, levels: Any) -> keras.Model:
    """Return a backbone's pyramid of some levels; with `None` the model as it is."""
    if levels is None:
        return model
    if not isinstance(model, CSPDarkNetBackbone):
        raise ValueError(f"`levels` are a backbone's. Received: a {type(model).__name__}")
    return model.feature_pyramid(levels)


def is_detector(model: keras.Model) -> bool:
    """Whether a model is a detector, whose images have one size."""
    return isinstance(model, YOLOXDetector)


class KerasRuntime:
    """A Keras model, on Keras' backend.

    Args:
        model: a backbone, its pyramid, an `ImageClassifier` or a `YOLOXDetector`.
        **how: as of `build_onnx`.
    """

    streams = 1

    def __init__(self, model: keras.Model, **how: Any) -> None:
        self._graph, self.description = inference_graph(model, **how)
        self.output_names = sorted(self._graph.output)
        self.input_shape = tuple(self._graph.inputs[0].shape)
        on_jax = keras.backend.backend() == "jax"
        self._call = _jax_function(self._graph) if on_jax else self._graph.predict_on_batch
        self._largest: dict[tuple[int, ...], int] = {}

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name."""
        count = len(images)
        if keras.backend.backend() != "torch":
            images = self._filled(images)
        found = self._call(images)
        return {name: _as_array(value)[:count] for name, value in found.items()}

    def _filled(self, images: np.ndarray) -> np.ndarray:
        """Fill a batch up to the largest of its form, so that none is compiled for the last one."""
        count, *form = images.shape
        largest = max(count, self._largest.get(tuple(form), 0))
        self._largest[tuple(form)] = largest
        return np.concatenate([images, np.zeros((largest - count, *form), images.dtype)])


def _jax_function(graph: keras.Model) -> Callable[[Any], dict[str, Any]]:
    """Return a graph as a function of images that may run beside others.

    On JAX Keras' `predict` gives the variables' memory away, until it is done: neither another
    thread nor the user's own `predict` may come in between. So this has a copy of them.
    """
    import jax

    @jax.jit
    def call(trainable: list[Any], others: list[Any], images: Any) -> Any:
        return graph.stateless_call(trainable, others, images, training=False)[0]

    kinds = (graph.trainable_variables, graph.non_trainable_variables)
    return partial(call, *([jax.numpy.copy(v.value) for v in kind] for kind in kinds))


def _as_array(value: Any) -> np.ndarray:
    """Return an output as NumPy has it: half precision as float32, which every reader knows."""
    array = np.asarray(value)
    return array if array.dtype.kind in "iu" else array.astype("float32", copy=False)
