"""ONNX exports of YOLOX, whose batch normalizations are folded into the convolutions.

The exporter drops the names of the weights; the order of the nodes stays that of the forward pass,
which is the order of the units in `checkpoints.architecture`. A folded batch normalization becomes
one that only adds the bias.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.checkpoints.architecture import (
    ConvUnit,
    backbone_units,
    head_units,
    neck_units,
    prediction_layers,
)
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import yolox

LEVELS = ("P3", "P4", "P5")
MAX_NECK_DEPTH = 100
MAX_BYTES = 2 << 30  # what a protobuf file can hold

# Kernel and bias of a convolution.
Conv = list[np.ndarray]


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """Return the weights under YOLOX's names: the backbone's, and a detector's neck and head.

    Raises:
        CheckpointError: if the file is damaged, or not a YOLOX with folded batch normalizations.
        ImportError: if the onnx package is missing.
    """
    onnx = require("onnx", "onnx", "Reading .onnx files")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path} is larger than an ONNX file can be.")
    try:
        graph = onnx.load(path, load_external_data=False).graph
        initializers = {item.name: item for item in graph.initializer}
        external = onnx.TensorProto.EXTERNAL
        if any(item.data_location == external for item in initializers.values()):
            raise CheckpointError(f"{path} keeps weights in other files: refused.")
        weights = {name: onnx.numpy_helper.to_array(item) for name, item in initializers.items()}
        nodes = _Nodes(graph.node, weights)
        backbone = _Backbone(path, nodes)
        state_dict = backbone.state_dict()
        others = [conv for conv, _ in nodes.remaining("Conv")]
    except CheckpointError:
        raise
    except Exception as error:  # protobuf and onnx raise many types
        raise CheckpointError(f"{path} is not an ONNX file, or damaged: {error}") from error
    return state_dict | _neck_and_head(others, backbone.use_depthwise)


class _Nodes:
    """The convolutions, concatenations and max poolings of a graph in their order."""

    def __init__(self, nodes: Any, weights: dict[str, np.ndarray]) -> None:
        self._steps = self._read(nodes, weights)
        self._next = next(self._steps, None)

    @staticmethod
    def _read(nodes: Any, weights: dict[str, np.ndarray]) -> Iterator[tuple[str, Any]]:
        for node in nodes:
            if node.op_type == "Conv":
                attributes = {item.name: item for item in node.attribute}
                strides = list(attributes["strides"].ints) if "strides" in attributes else [1, 1]
                arrays = [weights[name] for name in node.input[1:]]
                yield "Conv", (arrays, strides[0])
            elif node.op_type in ("Concat", "MaxPool"):
                yield node.op_type, None

    def next_is(self, op_type: str) -> bool:
        """Whether the next node is of this type."""
        return self._next is not None and self._next[0] == op_type

    def take(self, op_type: str) -> Any:
        """Return the content of the next node, which must be of this type."""
        if not self.next_is(op_type):
            raise CheckpointError(f"it has no {op_type} where a CSPDarkNet has one")
        assert self._next is not None
        content = self._next[1]
        self._next = next(self._steps, None)
        return content

    def remaining(self, op_type: str) -> list[Any]:
        """Return the contents of all nodes of a type that have not been taken."""
        nodes = [] if self._next is None else [self._next, *self._steps]
        return [content for node_type, content in nodes if node_type == op_type]


class _Backbone:
    """The convolutions of a CSPDarkNet at the start of a graph, and its architecture."""

    def __init__(self, path: Path, nodes: _Nodes) -> None:
        self.convs: list[Conv] = []
        self.depth: list[int] = []
        self.use_depthwise = False
        self._path, self._nodes = path, nodes
        try:
            nodes.take("Concat")  # the slices of Focus
            self._take_conv()
            while not self._take_stage():
                pass
        except CheckpointError as error:
            raise CheckpointError(f"{path} is not a YOLOX with a CSPDarkNet: {error}") from error

    def _take_conv(self) -> int:
        """Take a convolution, and return its stride."""
        arrays, stride = self._nodes.take("Conv")
        if len(arrays) != 2 or arrays[0].ndim != 4:
            raise CheckpointError("its batch normalizations are not folded into the convolutions")
        self.convs.append(arrays)
        return int(stride)

    def _take_stage(self) -> bool:
        """Take a stage, and return whether it has the pooling of the last one."""
        nodes = self._nodes
        if self._take_conv() != 2:
            raise CheckpointError("it has no convolution with stride 2 where a stage begins")
        self.use_depthwise = self.convs[-1][0].shape[1] == 1
        if self.use_depthwise:
            self._take_conv()
        self._take_conv()  # conv1 of the CSP stage, or of the pooling
        is_last = nodes.next_is("MaxPool")
        if is_last:
            while nodes.next_is("MaxPool"):
                nodes.take("MaxPool")
            nodes.take("Concat")
            self._take_conv()
            self._take_conv()
        self._take_conv()
        before = len(self.convs)
        while not nodes.next_is("Concat"):
            self._take_conv()
        self.depth.append((len(self.convs) - before) // (3 if self.use_depthwise else 2))
        nodes.take("Concat")
        self._take_conv()
        return is_last

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the weights under the names that YOLOX gives them in a detector."""
        named: dict[str, np.ndarray] = {}
        units = backbone_units(self.depth, self.use_depthwise)
        for unit, arrays in zip(units, self.convs, strict=True):
            name = yolox.unit_name(unit, len(self.depth) - 1)
            named |= _with_batch_norm(yolox.BACKBONE + name, *arrays)
        return named


def _with_batch_norm(name: str, weight: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    """Return a convolution, and a batch normalization after it that only adds the bias."""
    ones, zeros = np.ones_like(bias), np.zeros_like(bias)
    variance = ones - np.float32(yolox.EPSILON)
    norm = zip(yolox.NORM, (ones, bias, zeros, variance), strict=True)
    return {f"{name}.conv.weight": weight} | {f"{name}.bn.{key}": array for key, array in norm}


def _neck_and_head(convs: list[Conv], use_depthwise: bool) -> dict[str, np.ndarray]:
    """Name the convolutions after the backbone; none, if their number is not that of YOLOX."""
    for neck_depth in range(MAX_NECK_DEPTH + 1):
        order = _order(neck_depth, use_depthwise)
        if len(order) >= len(convs):
            break
    if len(order) != len(convs) or any(len(arrays) != 2 for arrays in convs):
        return {}
    named: dict[str, np.ndarray] = {}
    for item, arrays in zip(order, convs, strict=True):
        if isinstance(item, str):
            named |= dict(zip((f"{item}.weight", f"{item}.bias"), arrays, strict=True))
        else:
            named |= _with_batch_norm(yolox.neck_or_head_name(item), *arrays)
    return named


def _order(neck_depth: int, use_depthwise: bool) -> list[ConvUnit | str]:
    """Return the units of neck and head, and the names of prediction layers, in their order."""
    order: list[ConvUnit | str] = list(neck_units(neck_depth, use_depthwise))
    predictions = {
        (index, output): yolox.prediction_name(index, output)
        for index, output, _ in prediction_layers(LEVELS)
    }
    for level in range(len(LEVELS)):
        units = [unit for unit in head_units(LEVELS, use_depthwise) if unit.index == level]
        order += [unit for unit in units if not unit.position.startswith("box")]
        order.append(predictions[level, "classes"])
        order += [unit for unit in units if unit.position.startswith("box")]
        order += [predictions[level, output] for output in ("boxes", "objectness")]
    return order
