"""`GraphWriter`: builds an ONNX graph node by node."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cspdarknet._extras import require

OPSET = 17
IR_VERSION = 8
DOMAIN = ""
TO_CHANNELS_FIRST = [0, 3, 1, 2]
TO_CHANNELS_LAST = [0, 2, 3, 1]
MAX_SHARED_SIZE = 64  # Elements of the constants that are compared, to write equal ones once.


@dataclass(frozen=True)
class Value:
    """A tensor of the ONNX graph.

    Attributes:
        name: its name in the graph.
        rank: its number of axes.
        moved: whether its channel axis is second, where that of the Keras tensor is last.
        pads: zero padding that is still to be applied: top, left, bottom, right.
    """

    name: str
    rank: int
    moved: bool = False
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


class GraphWriter:
    """Collects the nodes and constants of an ONNX graph.

    Args:
        reserved: names that no node may get, such as those of inputs and outputs.

    Example:
        >>> writer = GraphWriter(reserved=["x", "y"])
        >>> doubled = writer.node("Mul", "x", writer.constant(2.0))
        >>> model = writer.model({"x": ("float32", [3])}, {"y": (doubled, "float32", [3])}, {}, "g")
        >>> [node.op_type for node in model.graph.node]
        ['Mul']
    """

    def __init__(self, reserved: Sequence[str] = ()) -> None:
        self.onnx = require("onnx", "onnx", "Writing ONNX files")
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self._name_counts = Counter(reserved)
        self._constant_names: dict[tuple[Any, ...], str] = {}

    def node(self, op_type: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        return self.multi_output_node(op_type, inputs, 1, name, **attributes)[0]

    def multi_output_node(
        self,
        op_type: str,
        inputs: Sequence[str],
        num_outputs: int,
        name: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node with several outputs, and return the names of the outputs."""
        name = self._unique_name(name or op_type.lower())
        outputs = [name] if num_outputs == 1 else [f"{name}_{i}" for i in range(num_outputs)]
        self.nodes.append(
            self.onnx.helper.make_node(op_type, list(inputs), outputs, name=name, **attributes)
        )
        return outputs

    def constant(self, value: Any, dtype: str = "float32", name: str = "constant") -> str:
        """Return the name of a constant; equal small constants are stored once."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        is_small = array.size <= MAX_SHARED_SIZE
        key = (array.dtype.str, array.shape, array.tobytes()) if is_small else (id(array),)
        if key not in self._constant_names:
            self._constant_names[key] = self._unique_name(name)
            self.constants[self._constant_names[key]] = array
        return self._constant_names[key]

    def cast(self, value: str, dtype: str) -> str:
        """Add a Cast node."""
        return self.node("Cast", value, to=self._data_type(dtype))

    def channels_first(self, value: Value, data_format: str) -> Value:
        """Return an image tensor with its channels second, whatever the Keras layer's format."""
        if data_format == "channels_first" or value.moved:
            return value
        name = self.node("Transpose", value.name, perm=TO_CHANNELS_FIRST)
        return replace(value, name=name, moved=True)

    def as_keras(self, value: Value) -> Value:
        """Return a tensor with its axes in the order of the Keras tensor, and its padding applied.

        Transposes are written only where a layer needs this order.
        """
        value = self.padded(value)
        if not value.moved:
            return value
        name = self.node("Transpose", value.name, perm=TO_CHANNELS_LAST)
        return replace(value, name=name, moved=False)

    def padded(self, value: Value) -> Value:
        """Apply the zero padding that is still to be applied to a tensor."""
        if not any(value.pads):
            return value
        top, left, bottom, right = value.pads
        before, after = [0, 0, top, left], [0, 0, bottom, right]
        name = self.node("Pad", value.name, self.constant(before + after, "int64"))
        return replace(value, name=name, pads=(0, 0, 0, 0))

    def model(
        self,
        inputs: Mapping[str, tuple[str, Sequence[Any]]],
        outputs: Mapping[str, tuple[str, str, Sequence[Any]]],
        metadata: Mapping[str, str],
        name: str,
    ) -> Any:
        """Return the finished `onnx.ModelProto`.

        Args:
            inputs: dtype and shape of each input; a string in a shape names a dynamic size.
            outputs: for each output, the name of its value in the graph, its dtype and its shape.
            metadata: entries of `metadata_props`.
            name: name of the graph.
        """
        helper = self.onnx.helper

        def value_info(name: str, dtype: str, shape: Sequence[Any]) -> Any:
            return helper.make_tensor_value_info(name, self._data_type(dtype), list(shape))

        for output, (value, _, _) in outputs.items():
            self._rename(value, output)
        graph = helper.make_graph(
            self.nodes,
            name,
            [value_info(name, *dtype_and_shape) for name, dtype_and_shape in inputs.items()],
            [value_info(name, dtype, shape) for name, (_, dtype, shape) in outputs.items()],
            [self.onnx.numpy_helper.from_array(a, n) for n, a in self.constants.items()],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(DOMAIN, OPSET)],
            ir_version=IR_VERSION,
            producer_name="cspdarknet",
        )
        helper.set_model_props(model, dict(metadata))
        self.onnx.checker.check_model(model)
        return model

    def _data_type(self, dtype: str) -> Any:
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def _rename(self, old: str, new: str) -> None:
        """Rename a value in all nodes."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]

    def _unique_name(self, name: str) -> str:
        self._name_counts[name] += 1
        count = self._name_counts[name]
        return name if count == 1 else f"{name}__{count}"
