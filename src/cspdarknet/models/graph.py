"""Queries of the Keras graph that a symbolic tensor belongs to."""

from typing import Any

import keras


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
