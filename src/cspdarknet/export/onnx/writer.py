"""Write an ONNX graph node by node."""

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


@dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
        name: its name in the graph.
        rank: number of its axes.
        moved: whether the graph has its channels second, where Keras has them last.
        pads: zeros that are still to be put around it: top, left, bottom, right.
    """

    name: str
    rank: int
    moved: bool = False
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


class GraphWriter:
    """Collects the nodes of one graph; each method that adds some returns the name they write.

    Args:
        reserved: names that no node gets: those of inputs and outputs.
    """

    def __init__(self, reserved: Sequence[str] = ()) -> None:
        self.onnx = require("onnx", "onnx", "Writing ONNX files")
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self._taken = Counter(reserved)
        self._known: dict[tuple[Any, ...], str] = {}

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.nodes_with(kind, inputs, 1, name, **attributes)[0]

    def nodes_with(
        self, kind: str, inputs: Sequence[str], count: int, name: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs."""
        name = self._free(name or kind.lower())
        outputs = [name] if count == 1 else [f"{name}_{i}" for i in range(count)]
        self.nodes.append(
            self.onnx.helper.make_node(kind, list(inputs), outputs, name=name, **attributes)
        )
        return outputs

    def constant(self, value: Any, dtype: str = "float32", name: str = "constant") -> str:
        """Add a constant, or return the name of an equal one."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 64 else (id(array),)
        if key not in self._known:
            self._known[key] = self._free(name)
            self.constants[self._known[key]] = array
        return self._known[key]

    def cast(self, value: str, dtype: str) -> str:
        """Add a cast."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", value, to=kind)

    def channels_first(self, value: Value, data_format: str) -> Value:
        """Return an image with its channels second, whatever Keras' layer calls them."""
        if data_format == "channels_first" or value.moved:
            return value
        name = self.node("Transpose", value.name, perm=TO_CHANNELS_FIRST)
        return replace(value, name=name, moved=True)

    def as_keras(self, value: Value) -> Value:
        """Return a tensor with the axes in Keras' order, and its padding done."""
        value = self.padded(value)
        if not value.moved:
            return value
        name = self.node("Transpose", value.name, perm=TO_CHANNELS_LAST)
        return replace(value, name=name, moved=False)

    def padded(self, value: Value) -> Value:
        """Put the zeros around a tensor that are still missing."""
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
        """Return the `onnx.ModelProto`.

        Args:
            inputs: dtype and shape by name; a string in a shape is a free size.
            outputs: the value, its dtype and shape, by the name that the output gets.
            metadata: goes into `metadata_props`.
            name: of the graph.
        """
        helper = self.onnx.helper

        def info(name: str, dtype: str, shape: Sequence[Any]) -> Any:
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            return helper.make_tensor_value_info(name, kind, list(shape))

        for output, (value, _, _) in outputs.items():
            self._rename(value, output)
        graph = helper.make_graph(
            self.nodes,
            name,
            [info(name, *form) for name, form in inputs.items()],
            [info(name, dtype, shape) for name, (_, dtype, shape) in outputs.items()],
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

    def _rename(self, old: str, new: str) -> None:
        """Give a value the name that it has as an output."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]

    def _free(self, name: str) -> str:
        self._taken[name] += 1
        return name if self._taken[name] == 1 else f"{name}__{self._taken[name]}"
