"""A Keras graph as a list of steps, which passes rewrite and from which a model is built again.

Models inside the model are taken apart, so that a program holds layers (and operations) only.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True, eq=False)
class Slot:
    """The place of a tensor: written by one step, read by others."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(eq=False)
class Step:
    """One call of a layer or operation.

    Attributes:
        operation: what is called. It's a new one, not yet built, where `weights` are given.
        args: its positional arguments, with slots in place of tensors.
        kwargs: its other arguments, likewise.
        outputs: the slots that it writes.
        weights: what the operation's weights are to be; `None` for those that it has.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Slot, ...]
    weights: tuple[np.ndarray, ...] | None = None

    @property
    def inputs(self) -> list[Slot]:
        """The slots that it reads."""
        leaves = keras.tree.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, Slot)]

    def kernel_and_bias(self) -> list[np.ndarray]:
        """Return the kernel of a convolution or dense layer, and its bias if it has one."""
        if self.weights is not None:
            return list(self.weights)
        layer = self.operation  # whose kernel has an enabled LoRA in it, unlike its weights
        arrays = [layer.kernel] + ([layer.bias] if layer.use_bias else [])
        return [keras.ops.convert_to_numpy(array) for array in arrays]

    def values(self) -> list[np.ndarray]:
        """Return the weights."""
        if self.weights is not None:
            return list(self.weights)
        return list(self.operation.get_weights())


@dataclass(eq=False)
class Program:
    """A graph: inputs by name, steps in the order of computation, and a structure of outputs."""

    inputs: Any
    input_names: dict[Slot, str]
    steps: list[Step]
    outputs: Any

    def readers(self) -> dict[Slot, list[Step]]:
        """Return the steps that read each slot."""
        found: dict[Slot, list[Step]] = {}
        for step in self.steps:
            for slot in step.inputs:
                found.setdefault(slot, []).append(step)
        return found

    def only_reader(self, slot: Slot, readers: dict[Slot, list[Step]]) -> Step | None:
        """Return the one step that reads a slot, if nobody else does."""
        steps = readers.get(slot, [])
        return steps[0] if len(steps) == 1 and not self.gives(slot) else None

    def gives(self, slot: Slot) -> bool:
        """Whether a slot is an output."""
        return any(slot is output for output in keras.tree.flatten(self.outputs))

    def called_once(self, step: Step) -> bool:
        """Whether a step's layer is not shared with another step."""
        return sum(other.operation is step.operation for other in self.steps) == 1

    def redirect(self, old: Slot, new: Slot) -> None:
        """Let all who read `old` read `new`."""

        def move(leaf: Any) -> Any:
            return new if leaf is old else leaf

        for step in self.steps:
            step.args, step.kwargs = keras.tree.map_structure(move, (step.args, step.kwargs))
        self.outputs = keras.tree.map_structure(move, self.outputs)


def take_apart(model: keras.Model) -> Program:
    """Return the program of a functional model.

    Raises:
        ValueError: if the model, or one inside it, is no functional one.
    """
    if not _is_functional(model):
        raise ValueError(
            "The model must be a functional Keras model, such as a backbone, a classifier or a "
            f"detector, that is built. Received: {model!r}"
        )
    slots = {id(tensor): _slot(tensor) for tensor in model.inputs}
    inputs = keras.tree.map_structure(lambda tensor: slots[id(tensor)], model._inputs_struct)
    names = {slots[id(t)]: t._keras_history.operation.name for t in model.inputs}
    steps = list(_steps(model, slots))
    outputs = keras.tree.map_structure(lambda tensor: slots[id(tensor)], model._outputs_struct)
    return Program(inputs, names, steps, outputs)


def _is_functional(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and hasattr(operation, "_nodes_by_depth")


def _slot(tensor: Any) -> Slot:
    return Slot(tuple(tensor.shape), str(tensor.dtype))


def _steps(model: keras.Model, slots: dict[int, Slot]) -> Iterator[Step]:
    """Yield the steps; note the slots of the tensors on the way, by the tensors' identities."""

    def place(leaf: Any) -> Any:
        return slots[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf

    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            arguments = (tuple(node.arguments.args), dict(node.arguments.kwargs))
            args, kwargs = keras.tree.map_structure(place, arguments)
            if isinstance(node.operation, keras.Model):
                yield from _inside(node, keras.tree.flatten(args), slots)
                continue
            if getattr(node.operation, "quantization_mode", None):
                raise ValueError(
                    f"The layer {node.operation.name!r} was quantized by Keras. Export the model "
                    "as it was before, with precision='int8'."
                )
            outputs = tuple(_slot(tensor) for tensor in node.output_tensors)
            slots.update(zip(map(id, node.output_tensors), outputs, strict=True))
            yield Step(node.operation, args, kwargs, outputs)


def _inside(node: Any, given: Sequence[Any], slots: dict[int, Slot]) -> Iterator[Step]:
    """Yield the steps of a model inside the model."""
    model = node.operation
    if not _is_functional(model):
        raise ValueError(f"The model {model.name!r} inside the model is no functional one.")
    inner = dict(zip(map(id, model.inputs), given, strict=True))
    yield from _steps(model, inner)
    results = [inner[id(tensor)] for tensor in keras.tree.flatten(model._outputs_struct)]
    slots.update(zip(map(id, node.output_tensors), results, strict=True))


def put_together(program: Program, name: str, dtype: str | None = None) -> keras.Model:
    """Build a model of a program, with layers of its own; in a dtype, if one is given."""
    values: dict[Slot, Any] = {}

    def new_input(slot: Slot) -> Any:
        values[slot] = keras.Input(
            batch_shape=slot.shape, dtype=slot.dtype, name=program.input_names[slot]
        )
        return values[slot]

    inputs = keras.tree.map_structure(new_input, program.inputs)
    copies: dict[int, Any] = {}
    taken: Counter[str] = Counter()
    for step in program.steps:
        args, kwargs = keras.tree.map_structure(
            lambda leaf: values[leaf] if isinstance(leaf, Slot) else leaf, (step.args, step.kwargs)
        )
        operation = copies.get(id(step.operation))
        if operation is None:
            operation = copies[id(step.operation)] = _copy(step.operation, taken, dtype)
        outputs = keras.tree.flatten(operation(*args, **kwargs))
        if isinstance(operation, keras.layers.Layer):
            operation.set_weights(step.values())
        values.update(zip(step.outputs, outputs, strict=True))
    outputs = keras.tree.map_structure(lambda slot: values[slot], program.outputs)
    return keras.Model(inputs, outputs, name=name)


def _copy(operation: Any, taken: Counter[str], dtype: str | None) -> Any:
    """Return a new operation of the same config, with a name that no other has."""
    name = operation.name
    taken[name] += 1
    config = operation.get_config()
    if taken[name] > 1:
        config["name"] = f"{name}_{taken[name]}"
    if dtype is not None and isinstance(operation, keras.layers.Layer):
        config["dtype"] = dtype
    return type(operation).from_config(config)
