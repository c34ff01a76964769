"""`LevelGraph`: a model that can be cut at the pyramid levels of its backbone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from cspdarknet.analysis.gradients import check_backend, compiled, value_and_gradient
from cspdarknet.checkpoints.layer_forms import flat_layers

OUTPUT = "output"  # name of the only level of a backbone of another origin


class _Step(NamedTuple):
    """One call of a layer: its arguments, and the ids of its input and output tensors."""

    operation: Any
    args: Any
    kwargs: Any
    inputs: list[int]
    outputs: list[int]


class LevelGraph:
    """A model of any task, run from the images or from a pyramid level of its backbone.

    The model itself is not changed.

    Args:
        model: an `ImageClassifier`, an `ImageRegressor`, a `YOLOXDetector` or a
            `CSPDarkNetBackbone`.

    Attributes:
        levels: symbolic tensor of each pyramid level of the backbone, the shallowest first.
        strides: stride of each level in pixels; empty for a backbone of another origin.
        task: task of the model.

    Raises:
        ValueError: if layers of the model are quantized, or Keras's backend has no gradients.
    """

    def __init__(self, model: Any) -> None:
        check_backend()
        _check_differentiable(model)
        backbone = getattr(model, "backbone", model)
        levels = getattr(backbone, "pyramid_outputs", None)
        self.levels: dict[str, Any] = dict(levels or {OUTPUT: backbone.outputs[0]})
        self.strides: dict[str, int] = dict(getattr(backbone, "feature_strides", {}))
        self.task: str = model.task
        self._model = model
        self._channels_first = getattr(backbone, "data_format", None) == "channels_first"
        self._same: dict[int, int] = {}  # input tensors of nested models, and the outer ones
        self._steps = list(self._steps_of(model))
        self._forward = compiled(self._run_images)
        self._gradients: dict[str, Callable[..., tuple[float, np.ndarray]]] = {}

    def forward(self, images: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the model on a batch of images.

        Args:
            images: array `(batch, height, width, channels)` in 0..255.

        Returns:
            The feature maps by level, and the outputs: `"logits"` `(batch, classes)` of a
            classifier, and in their place the standardized numbers of a regressor; those of
            `decoupled_head`, and `"logits"` `(batch, anchors, classes)`, the sums of both logits,
            of a detector; none of a backbone.
        """
        maps, outputs = self._forward(self._pixels(images))
        return dict(zip(self.levels, maps, strict=True)), outputs

    def gradient(self, level: str, maps: Mapping[str, Any], weights: np.ndarray) -> np.ndarray:
        """Return the gradient of a weighted sum of the logits by the feature map of a level.

        Args:
            level: name of the level.
            maps: feature maps of all levels, as `forward` returned them.
            weights: float32 array of the shape of the logits.

        Returns:
            The gradient as of `array`.
        """
        names = list(self.levels)
        known = names[: names.index(level) + 1]
        if level not in self._gradients:

            def score(maps: Any, others: Sequence[Any], weights: Any) -> Any:
                (logits,) = self._outputs([*others, maps], known, only_logits=True).values()
                return keras.ops.sum(keras.ops.cast(logits, "float32") * weights)

            self._gradients[level] = value_and_gradient(score)
        others = [maps[name] for name in known[:-1]]
        _, gradient = self._gradients[level](maps[level], others, weights)
        return self.array(gradient)

    def pixel_gradient(
        self, level: str, images: np.ndarray, position: tuple[int, int]
    ) -> np.ndarray:
        """Return the gradient of the sum of a position's channels by the pixels.

        Args:
            level: name of the level.
            images: a batch of one image, as of `forward`.
            position: row and column in the feature map.

        Returns:
            The gradient, a float32 array `(height, width, channels)`.
        """
        row, column = position

        def total(images: Any) -> Any:
            (maps,) = self._run(self._at_input(images), [self.levels[level]])
            cell = maps[0, :, row, column] if self._channels_first else maps[0, row, column]
            return keras.ops.sum(keras.ops.cast(cell, "float32"))

        return self.array(value_and_gradient(total)(self._pixels(images))[1])

    def array(self, tensor: Any) -> np.ndarray:
        """Return a batch of one feature map as a float32 array `(height, width, channels)`."""
        values = keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))[0]
        return np.asarray(values.transpose(1, 2, 0) if self._channels_first else values)

    # The graph.

    def _pixels(self, images: np.ndarray) -> np.ndarray:
        images = images.transpose(0, 3, 1, 2) if self._channels_first else images
        return np.ascontiguousarray(images, "float32")

    def _at_input(self, images: Any) -> dict[int, Any]:
        (source,) = self._model.inputs
        return {id(source): keras.ops.cast(images, source.dtype)}

    def _run_images(self, images: Any) -> tuple[list[Any], dict[str, Any]]:
        wanted, finish = self._wanted()
        found = self._run(self._at_input(images), [*self.levels.values(), *wanted])
        count = len(self.levels)
        return found[:count], finish(found[count:])

    def _outputs(
        self, maps: Sequence[Any], names: Sequence[str], only_logits: bool
    ) -> dict[str, Any]:
        known = {id(self.levels[name]): x for name, x in zip(names, maps, strict=True)}
        wanted, finish = self._wanted(only_logits)
        outputs = finish(self._run(known, wanted))
        return {"logits": outputs["logits"]} if only_logits else outputs

    def _wanted(self, only_logits: bool = False) -> tuple[list[Any], Callable[[Any], Any]]:
        """Return the tensors to compute, and the function from them to the outputs."""
        if self.task in ("classification", "regression"):
            dense, (before,) = _last_dense(self._model)
            return [before], lambda found: {"logits": _linear(dense, found[0])}
        if self.task != "detection":
            return [], lambda _: {}
        names = ["objectness", "classes"] + ["boxes"] * (not only_logits)

        def with_logits(found: Sequence[Any]) -> dict[str, Any]:
            outputs = dict(zip(names, found, strict=True))
            return {**outputs, "logits": outputs["objectness"] + outputs["classes"]}

        return [self._model.output[name] for name in names], with_logits

    def _run(self, known: Mapping[int, Any], wanted: Sequence[Any]) -> list[Any]:
        """Return the values of symbolic tensors, computed from known values by id of the tensor."""
        values = {self._key(number): value for number, value in known.items()}
        ends = [self._key(id(tensor)) for tensor in wanted]
        needed, steps = set(ends), []
        for step in reversed(self._steps):
            if needed.intersection(step.outputs) and not values.keys() >= set(step.outputs):
                needed.update(step.inputs)
                steps.append(step)
        for step in reversed(steps):
            values.update(zip(step.outputs, _call(step, values), strict=True))
        return [values[number] for number in ends]

    def _key(self, number: int) -> int:
        while number in self._same:
            number = self._same[number]
        return number

    def _steps_of(self, model: Any) -> Iterator[_Step]:
        """Yield the calls of a functional model in order; nested models are flattened."""
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                operation, given = node.operation, node.arguments
                inputs = [self._key(id(tensor)) for tensor in given.keras_tensors]
                if hasattr(operation, "_nodes_by_depth"):
                    self._same.update(zip(map(id, operation.inputs), inputs, strict=True))
                    yield from self._steps_of(operation)
                    ends = zip(node.output_tensors, operation.outputs, strict=True)
                    self._same.update((id(outer), id(inner)) for outer, inner in ends)
                    continue
                outputs = [id(tensor) for tensor in node.output_tensors]
                yield _Step(operation, given.args, given.kwargs, inputs, outputs)


def _call(step: _Step, values: Mapping[int, Any]) -> list[Any]:
    given = iter([values[number] for number in step.inputs])

    def filled(leaf: Any) -> Any:
        return next(given) if isinstance(leaf, keras.KerasTensor) else leaf

    args, kwargs = keras.tree.map_structure(filled, (step.args, step.kwargs))
    if getattr(step.operation, "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": False}
    return list(keras.tree.flatten(step.operation(*args, **kwargs)))


def _last_dense(model: Any) -> tuple[Any, list[Any]]:
    """Return the last dense layer of a classifier or a regressor, and its symbolic input.

    That of a regressor is followed by the layer of the units.
    """
    inputs = [model.output]
    layer = None
    while not isinstance(layer, keras.layers.Dense):
        layer, index, _ = inputs[0]._keras_history
        inputs = layer._inbound_nodes[index].input_tensors
    return layer, inputs


def _linear(dense: Any, x: Any) -> Any:
    """Return the logits of a dense layer, which includes its activation."""
    return keras.ops.matmul(x, dense.kernel) + (0.0 if dense.bias is None else dense.bias)


def _check_differentiable(model: Any) -> None:
    policy = keras.dtype_policies.QuantizedDTypePolicy
    names = [x.name for x in flat_layers(model) if isinstance(x.dtype_policy, policy)]
    if names:
        raise ValueError(
            "Gradients need a model before `quantize`. Received: a model with the quantized layer "
            f"{names[0]!r}: load it again, or use method='occlusion'."
        )
