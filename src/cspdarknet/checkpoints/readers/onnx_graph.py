"""The graph of an ONNX file: its constants, the nodes that take a tensor, and activations."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError

MAX_STEPS = 64  # nodes between a tensor and the constant, or the image, that it is made from
LEAKY_SLOPE = 0.1
# Activations of one node, and of a gate that multiplies its own input.
SINGLE = {"Relu": "relu", "HardSwish": "hard_swish", "Swish": "silu"}
GATED = {"Sigmoid": "silu", "HardSigmoid": "hard_swish"}
# Arguments that these nodes have in our activations, and what ONNX means where they are missing.
ARGUMENTS = {
    "Swish": {"alpha": (1.0, 1.0)},
    "HardSigmoid": {"alpha": (1 / 6, 0.2), "beta": (0.5, 0.5)},
}
# How attributes are read, by the number of their type.
ATTRIBUTES: dict[int, Callable[[Any], Any]] = {
    1: lambda item: item.f,
    2: lambda item: item.i,
    3: lambda item: item.s.decode(errors="replace"),
    7: lambda item: list(item.ints),
}


def refuse(reason: str) -> NoReturn:
    """Raise the error of a graph that is not the expected one."""
    raise CheckpointError(reason)


class Graph:
    """Nodes of an ONNX graph by the tensors that they take and make.

    Args:
        graph: the `onnx.GraphProto`.
        to_array: converts an `onnx.TensorProto` to an array.

    Attributes:
        inputs: sizes of each input of the graph by its name, with `None` for a size that varies.
        op_types: the types of its nodes.
    """

    def __init__(self, graph: Any, to_array: Callable[[Any], np.ndarray]) -> None:
        self._to_array = to_array
        self._initializers = {item.name: item for item in graph.initializer}
        self._producers = {name: node for node in graph.node for name in node.output}
        self._consumers: defaultdict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._consumers[name].append(node)
        self.op_types = {node.op_type for node in graph.node}
        self.inputs = {
            item.name: [size.dim_value or None for size in item.type.tensor_type.shape.dim]
            for item in graph.input
            if item.name not in self._initializers
        }

    def constant(self, name: str) -> np.ndarray | None:
        """Return the value of a tensor, if it is a constant."""
        for _ in range(MAX_STEPS):
            if name in self._initializers:
                return self._to_array(self._initializers[name])
            node = self._producers.get(name)
            if node is None or node.op_type not in ("Constant", "Identity"):
                return None
            if node.op_type == "Constant":
                return self._constant_value(node)
            name = node.input[0]
        return None

    def _constant_value(self, node: Any) -> np.ndarray | None:
        for item in node.attribute:
            if item.name == "value":
                return self._to_array(item.t)
        values = [attribute(node, name, None) for name in ("value_float", "value_ints")]
        return next((np.asarray(value) for value in values if value is not None), None)

    def producer(self, tensor: str) -> Any:
        """Return the node that makes a tensor; `None` for an input of the graph."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str, *op_types: str) -> list[Any]:
        """Return the nodes that take a tensor, of some types if these are given."""
        nodes = self._consumers.get(tensor, [])
        return [node for node in nodes if not op_types or node.op_type in op_types]

    def convolutions(self, tensor: str) -> list[Any]:
        """Return the convolutions of a tensor."""
        return [node for node in self.consumers(tensor, "Conv") if node.input[0] == tensor]

    def activation(self, tensor: str) -> tuple[str, str]:
        """Return the activation of a convolution's output, and the activated tensor.

        Raises:
            CheckpointError: if it is an activation that `cspdarknet.layers` does not have.
        """
        users = self.consumers(tensor)
        gates = [node for node in users if node.op_type in GATED]
        products = [node for node in users if node.op_type == "Mul"]
        if len(users) == 2 and len(gates) == len(products) == 1:
            (gate,), (product,) = gates, products
            if gate.output[0] in product.input and _has_arguments(gate):
                return GATED[gate.op_type], product.output[0]
        if len(users) == 1:
            name = self._single_activation(users[0])
            if name is not None:
                return name, users[0].output[0]
        refuse(f"it has an activation that this package does not have: {_described(users)}")

    def _single_activation(self, node: Any) -> str | None:
        if node.op_type == "LeakyRelu":
            slope = attribute(node, "alpha", 0.01)
            if not np.isclose(slope, LEAKY_SLOPE, atol=1e-4):
                refuse(
                    f"its LeakyRelu nodes have the slope {slope:.4g}, and this package has the "
                    f"slope {LEAKY_SLOPE} alone, which YOLOX has"
                )
            return "leaky_relu"
        if node.op_type == "Clip":
            # Attributes until operator set 10, inputs since.
            bounds = [self.constant(name) for name in node.input[1:3]]
            bounds = bounds or [attribute(node, name, None) for name in ("min", "max")]
            values = [None if bound is None else np.ravel(bound).tolist() for bound in bounds]
            return "relu6" if values == [[0.0], [6.0]] else None
        name = SINGLE.get(node.op_type)
        return name if name is not None and _has_arguments(node) else None


def attribute(node: Any, name: str, default: Any) -> Any:
    """Return a number, a text or a list of integers of a node."""
    for item in node.attribute:
        if item.name == name:
            read = ATTRIBUTES.get(item.type)
            return default if read is None else read(item)
    return default


def _has_arguments(node: Any) -> bool:
    expected = ARGUMENTS.get(node.op_type, {})
    return all(
        np.isclose(attribute(node, name, default), value, atol=1e-4)
        for name, (value, default) in expected.items()
    )


def _described(nodes: list[Any]) -> str:
    """Name the nodes after a convolution with their arguments, such as `Elu(alpha=1)`."""
    texts = []
    for node in nodes[:4]:
        arguments = ", ".join(f"{a.name}={a.f:.4g}" for a in node.attribute if a.type == 1)
        texts.append(f"{node.op_type}({arguments})" if arguments else node.op_type)
    return " and ".join(texts) or "none"
