"""Queries of the Keras graph that a symbolic tensor belongs to."""

import difflib
from collections.abc import Mapping
from typing import Any

import keras

from cspdarknet.checkpoints.errors import shown


def producer(tensor: Any) -> Any:
    """Return the layer (or operation) that `tensor` is an output of."""
    return tensor._keras_history.operation


def free_name(name: str, inputs: Any) -> str:
    """Return `name`, or a variant of it that no layer downstream of `inputs` has."""
    taken = set()
    open_operations = [producer(tensor) for tensor in keras.tree.flatten(inputs)]
    seen = set()
    while open_operations:
        operation = open_operations.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        taken.add(operation.name)
        open_operations += [node.operation for node in operation._outbound_nodes]
    return name if name not in taken else f"backbone_{name}"


def source_inputs(tensor: Any) -> list[Any]:
    """Return the `keras.Input` tensors that `tensor` is computed from, in order of appearance.

    `keras.utils.get_source_inputs` returns the same, but follows every path, of which a network
    with n residual connections has 2 ** n; here each node is visited once.
    """
    sources: list[Any] = []
    seen: set[int] = set()
    open_tensors = [tensor]
    while open_tensors:
        operation, node_index, _ = open_tensors.pop()._keras_history
        node = operation._inbound_nodes[node_index]
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.is_input:
            sources.extend(node.output_tensors)
        else:
            open_tensors.extend(reversed(node.input_tensors))
    return sources


def named_output(model: Any, name: Any, aliases: Mapping[str, str]) -> Any:
    """Return the output of a layer of a model.

    Args:
        model: a functional model.
        name: name of the layer, or one of `aliases`.
        aliases: other names of some layers.

    Raises:
        ValueError: if there is no such layer; the error lists names like it.
    """
    # A graph whose input is also an output cannot be exported.
    inputs = keras.layers.InputLayer
    names = [layer.name for layer in model.layers if not isinstance(layer, inputs)]
    if (layer := aliases.get(name, name) if isinstance(name, str) else None) in names:
        return model.get_layer(layer).output
    near = difflib.get_close_matches(str(name), [*aliases, *names], n=5, cutoff=0.5)
    found = f" Names like it are {', '.join(map(repr, near))}." if near else ""
    raise ValueError(
        f"A feature map must be one of {', '.join(map(repr, aliases))}, the index of a pyramid "
        f"level, or the name of a layer. Received: {shown(name)}.{found}"
    )
