"""`NamedModel`: a model by name or path, whose ONNX graphs are cached."""

import warnings
from functools import cached_property
from pathlib import Path

from cspdarknet.checkpoints.published import sha256_of
from cspdarknet.detections import DetectionOptions
from cspdarknet.inference.graph_cache import graph_key, read_graph, write_graph
from cspdarknet.inference.model_source import KerasModel, ModelSettings, graph_runtimes
from cspdarknet.inference.runtimes import Runtime
from cspdarknet.presets.sources import locate


class NamedModel:
    """A model by name or path, which is built only if its ONNX graph is not in the cache.

    Args:
        model: anything that `load_model` takes.
        settings: the settings.

    Raises:
        ValueError: if there is no such model.
    """

    def __init__(self, model: str | Path, settings: ModelSettings) -> None:
        self.paths, self.settings = locate(model), settings
        self._has_warned = False

    @property
    def runtimes(self) -> list[str]:
        """The installed runtimes that can run it, the preferred one first."""
        return graph_runtimes(self.settings.runtime.precision)

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on the model."""
        # Without trained weights, the model is another one each time.
        can_cache = self.paths.weights is not None and self.settings.calibration is None
        if runtime == "keras" or not can_cache:
            return self._keras_model.start(runtime)
        return self.settings.runtime.start(runtime, self._graph(runtime))

    def _graph(self, runtime: str) -> bytes:
        """Return the bytes of the ONNX graph for a runtime, from the cache if it is there."""
        settings, weights_sha256 = self.settings, self._weights_sha256()
        key = graph_key(
            self.paths,
            weights_sha256,
            runtime=runtime,
            precision=settings.runtime.precision,
            levels=settings.levels,
            options=settings.options or DetectionOptions(),
            image_size=settings.image_size,
        )
        graph = read_graph(key)
        if graph is None:
            graph = self._keras_model.graph(runtime)
            is_same_file = self._weights_sha256() == weights_sha256  # else: a training goes on
            if is_same_file and not self._has_warned:  # else: the next start must warn, too
                write_graph(key, graph)
        return graph

    def _weights_sha256(self) -> str:
        assert self.paths.weights is not None
        return sha256_of(self.paths.weights)

    @cached_property
    def _keras_model(self) -> KerasModel:
        from cspdarknet.models.load import build_model

        task = None if self.settings.levels is None else "features"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            model = build_model(self.paths.open(), task)
        for item in caught:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        self._has_warned = any(issubclass(item.category, UserWarning) for item in caught)
        return KerasModel(model, self.settings)
