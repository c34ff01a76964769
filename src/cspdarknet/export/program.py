"""Intermediate representation of a Keras model: a list of layer calls that passes can rewrite.

Nested models are flattened, so that a program consists of layers and operations only.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True, eq=False)
class SymbolicTensor:
    """A tensor of a program, known by its identity: output of one call, input of others."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(eq=False)
class LayerCall:
    """One call of a layer or operation.

    Attributes:
        operation: the layer or operation. It is a new one, not built yet, if `weights` are given.
        args: its positional arguments, with a `SymbolicTensor` in place of each tensor.
        kwargs: its keyword arguments, likewise.
        outputs: the tensors that it returns.
        weights: the weights to give to the operation; `None` for those that it has.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[SymbolicTensor, ...]
    weights: tuple[np.ndarray, ...] | None = None

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The tensors that it takes."""
        leaves = keras.tree.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, SymbolicTensor)]

    def kernel_and_bias(self) -> list[np.ndarray]:
        """Return the kernel of a convolution or dense layer, and its bias if it has one."""
        if self.weights is not None:
            return list(self.weights)
        layer = self.operation  # `kernel` includes an enabled LoRA, `weights` does not.
        arrays = [layer.kernel] + ([layer.bias] if layer.use_bias else [])
        return [keras.ops.convert_to_numpy(array) for array in arrays]

    def weight_values(self) -> list[np.ndarray]:
        """Return the weights as arrays."""
        if self.weights is not None:
            return list(self.weights)
        return list(self.operation.get_weights())


@dataclass(eq=False)
class Program:
    """A model as a list of layer calls.

    Attributes:
        inputs: the input tensors, in the structure that the model takes them.
        input_names: the name of each input.
        calls: the layer calls in an order of computation.
        outputs: the output tensors, in the structure that the model returns them.
    """

    inputs: Any
    input_names: dict[SymbolicTensor, str]
    calls: list[LayerCall]
    outputs: Any

    def consumers(self) -> dict[SymbolicTensor, list[LayerCall]]:
        """Return the calls that take each tensor."""
        consumers: dict[SymbolicTensor, list[LayerCall]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                consumers.setdefault(tensor, []).append(call)
        return consumers

    def is_output(self, tensor: SymbolicTensor) -> bool:
        """Whether the program returns a tensor."""
        return any(tensor is output for output in keras.tree.flatten(self.outputs))

    def is_called_once(self, call: LayerCall) -> bool:
        """Whether the layer of a call is not shared with another call."""
        return sum(other.operation is call.operation for other in self.calls) == 1

    def replace_tensor(self, old: SymbolicTensor, new: SymbolicTensor) -> None:
        """Replace a tensor wherever it is an input of a call or an output of the program."""

        def replaced(leaf: Any) -> Any:
            return new if leaf is old else leaf

        for call in self.calls:
            call.args, call.kwargs = keras.tree.map_structure(replaced, (call.args, call.kwargs))
        self.outputs = keras.tree.map_structure(replaced, self.outputs)


def program_from_model(model: keras.Model) -> Program:
    """Return the program of a functional model.

    Raises:
        ValueError: if the model, or one nested in it, is not functional, or was quantized by Keras.
    """
    if not _is_functional(model):
        raise ValueError(
            "The model must be a functional Keras model that is built, such as a backbone, a "
            f"classifier or a detector. Received: {model!r}"
        )
    tensors = {id(tensor): _symbolic(tensor) for tensor in model.inputs}
    inputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model._inputs_struct)
    names = {tensors[id(t)]: t._keras_history.operation.name for t in model.inputs}
    calls = list(_layer_calls(model, tensors))
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model._outputs_struct)
    return Program(inputs, names, calls, outputs)


def _is_functional(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and hasattr(operation, "_nodes_by_depth")


def _symbolic(tensor: Any) -> SymbolicTensor:
    return SymbolicTensor(tuple(tensor.shape), str(tensor.dtype))


def _layer_calls(model: keras.Model, tensors: dict[int, SymbolicTensor]) -> Iterator[LayerCall]:
    """Yield the calls of a model, and enter their outputs into `tensors` by Keras tensor id."""

    def symbolic(leaf: Any) -> Any:
        return tensors[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf

    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            arguments = (tuple(node.arguments.args), dict(node.arguments.kwargs))
            args, kwargs = keras.tree.map_structure(symbolic, arguments)
            if isinstance(node.operation, keras.Model):
                yield from _nested_calls(node, keras.tree.flatten(args), tensors)
                continue
            if getattr(node.operation, "quantization_mode", None):
                raise ValueError(
                    "The model must not be quantized by Keras: use the model before quantization, "
                    "with precision='int8'. Received: a quantized layer "
                    f"{node.operation.name!r}"
                )
            outputs = tuple(_symbolic(tensor) for tensor in node.output_tensors)
            tensors.update(zip(map(id, node.output_tensors), outputs, strict=True))
            yield LayerCall(node.operation, args, kwargs, outputs)


def _nested_calls(
    node: Any, inputs: Sequence[SymbolicTensor], tensors: dict[int, SymbolicTensor]
) -> Iterator[LayerCall]:
    """Yield the calls of a nested model."""
    model = node.operation
    if not _is_functional(model):
        raise ValueError(
            "Nested models must be functional Keras models. "
            f"Received: {model.name!r}, a {type(model).__name__}"
        )
    inner = dict(zip(map(id, model.inputs), inputs, strict=True))
    yield from _layer_calls(model, inner)
    outputs = [inner[id(tensor)] for tensor in keras.tree.flatten(model._outputs_struct)]
    tensors.update(zip(map(id, node.output_tensors), outputs, strict=True))


def model_from_program(program: Program, name: str, dtype: str | None = None) -> keras.Model:
    """Build a model from a program.

    Args:
        program: the program.
        name: the model's name.
        dtype: the dtype of all layers; `None` for the dtype policy that each has.

    Returns:
        A functional `keras.Model` with layers and weights of its own.
    """
    tensors: dict[SymbolicTensor, Any] = {}

    def new_input(tensor: SymbolicTensor) -> Any:
        tensors[tensor] = keras.Input(
            batch_shape=tensor.shape, dtype=tensor.dtype, name=program.input_names[tensor]
        )
        return tensors[tensor]

    def keras_tensor(leaf: Any) -> Any:
        return tensors[leaf] if isinstance(leaf, SymbolicTensor) else leaf

    inputs = keras.tree.map_structure(new_input, program.inputs)
    copies: dict[int, Any] = {}
    name_counts: Counter[str] = Counter()
    for call in program.calls:
        args, kwargs = keras.tree.map_structure(keras_tensor, (call.args, call.kwargs))
        operation = copies.get(id(call.operation))
        if operation is None:
            operation = _copy(call.operation, name_counts, dtype)
            copies[id(call.operation)] = operation
        outputs = keras.tree.flatten(operation(*args, **kwargs))
        if isinstance(operation, keras.layers.Layer):
            operation.set_weights(call.weight_values())
        tensors.update(zip(call.outputs, outputs, strict=True))
    return keras.Model(inputs, keras.tree.map_structure(keras_tensor, program.outputs), name=name)


def _copy(operation: Any, name_counts: Counter[str], dtype: str | None) -> Any:
    """Return a new operation with the same config and a unique name."""
    name_counts[operation.name] += 1
    config = operation.get_config()
    if (count := name_counts[operation.name]) > 1:
        config["name"] = f"{operation.name}_{count}"
    if dtype is not None and isinstance(operation, keras.layers.Layer):
        config["dtype"] = dtype
    return type(operation).from_config(config)
