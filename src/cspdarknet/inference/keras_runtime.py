"""The Keras runtime: a Keras model on its own backend."""

from typing import Any

import keras
import numpy as np

from cspdarknet.detections import DetectionOptions
from cspdarknet.export.inference_graph import inference_graph, pixels_dtype
from cspdarknet.model_info import ModelInfo
from cspdarknet.models.steps import use_torch_functions


class KerasRuntime:
    """A Keras model on Keras's backend.

    Args:
        model: a backbone, its `feature_pyramid()`, an `ImageClassifier` or a `YOLOXDetector`.
        options: detectors: the `DetectionOptions`.
    """

    streams = 1

    def __init__(self, model: keras.Model, options: DetectionOptions | None = None) -> None:
        self._model, self._options = model, options
        self._graph, self.info = self._inference_graph()
        use_torch_functions(self._graph, self.info.data_format)
        self.output_names = sorted(self._graph.output)
        self.input_shape = tuple(self._graph.inputs[0].shape)
        self._largest_batch: dict[tuple[int, ...], int] = {}
        self._call = self._graph.predict_on_batch
        if keras.backend.backend() == "jax":
            self._prepare_jax()

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name."""
        count = len(images)
        if keras.backend.backend() != "torch":
            images = self._filled(images)
        outputs = self._call(images)
        return {name: _as_array(value)[:count] for name, value in outputs.items()}

    def _inference_graph(self) -> tuple[keras.Model, ModelInfo]:
        inputs = pixels_dtype(self._model)
        return inference_graph(self._model, inputs=inputs, options=self._options)

    def update_weights(self) -> None:
        """Load the current weights of the model, without a recompilation."""
        own = {id(variable) for variable in self._graph.variables}
        if own.isdisjoint(id(variable) for variable in self._model.variables):
            # The graph of a float16 or bfloat16 model is a float32 copy.
            graph, _ = self._inference_graph()
            self._graph.set_weights(graph.get_weights())
        if keras.backend.backend() == "jax":
            self._copy_jax_variables()

    def _filled(self, images: np.ndarray) -> np.ndarray:
        """Fill a batch up to the largest of its image shape, so that no other one is compiled."""
        count, *shape = images.shape
        largest = max(count, self._largest_batch.get(tuple(shape), 0))
        self._largest_batch[tuple(shape)] = largest
        if count == largest:
            return images
        return np.concatenate([images, np.zeros((largest - count, *shape), images.dtype)])

    def _prepare_jax(self) -> None:
        """Call the graph as a function of copies of its variables.

        On JAX, `predict` of Keras donates the buffers of the variables until it returns: no
        other thread, nor the user's own `predict`, may run meanwhile.
        """
        import jax

        variables = list(self._graph.variables)

        @jax.jit
        def call(values: list[Any], images: Any) -> Any:
            with keras.StatelessScope(zip(variables, values, strict=True)):
                return self._graph(images, training=False)

        self._copy_jax_variables()
        self._call = lambda images: call(self._jax_variables, images)

    def _copy_jax_variables(self) -> None:
        import jax

        self._jax_variables = [jax.numpy.copy(v.value) for v in self._graph.variables]


def _as_array(value: Any) -> np.ndarray:
    """Return an output as a NumPy array, float32 instead of float16 or bfloat16."""
    array = np.asarray(value)
    return array if array.dtype.kind in "iu" else array.astype("float32", copy=False)
