"""Read an ONNX export of YOLOX, whose batch-norms are folded.

The exporter drops names; the order of the nodes stays that of the forward pass, which is the order
of `structure.conv_units` and its companions for neck and head. A folded batch-norm comes back as
one that only adds the bias.
"""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.checkpoints.architecture import (
    ConvUnit,
    conv_units,
    head_units,
    neck_units,
    prediction_layers,
)
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import yolox

MAX_NECK_DEPTH = 100
MAX_BYTES = 2 << 30  # what a protobuf file can hold


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """Return the weights under YOLOX's names: the backbone's, and a detector's neck and head.

    Raises:
        CheckpointError: if the file is damaged or no YOLOX with folded batch-norms.
        ImportError: if the onnx package is missing.
    """
    onnx = require("onnx", "onnx", "Reading .onnx files")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path} is larger than an ONNX file can be.")
    try:
        graph = onnx.load(path, load_external_data=False).graph
        stored = {item.name: item for item in graph.initializer}
        external = onnx.TensorProto.EXTERNAL
        if any(item.data_location == external for item in stored.values()):
            raise CheckpointError(f"{path} keeps weights in other files: refused.")
        weights = {name: onnx.numpy_helper.to_array(item) for name, item in stored.items()}
        nodes = _Nodes(graph.node, weights)
        convs, architecture = _walk(path, nodes)
        rest = nodes.all_left("Conv")
    except CheckpointError:
        raise
    except Exception as error:  # protobuf and onnx raise many kinds
        raise CheckpointError(f"{path} is not an ONNX file, or damaged: {error}") from error
    plan = SimpleNamespace(**architecture)
    return {yolox.BACKBONE + name: array for name, array in _named(convs, plan).items()} | (
        _neck_and_head([arrays for arrays, _ in rest], plan)
    )


class _Nodes:
    """The convolutions, concatenations and pools of a graph, one after the other."""

    def __init__(self, nodes: Any, weights: dict[str, np.ndarray]) -> None:
        self.steps = self._steps(nodes, weights)
        self.ahead = next(self.steps, None)

    @staticmethod
    def _steps(nodes: Any, weights: dict[str, np.ndarray]) -> Iterator[tuple[str, Any]]:
        for node in nodes:
            if node.op_type == "Conv":
                attributes = {item.name: item for item in node.attribute}
                strides = list(attributes["strides"].ints) if "strides" in attributes else [1, 1]
                arrays = [weights[name] for name in node.input[1:]]
                yield "Conv", (arrays, strides[0])
            elif node.op_type in ("Concat", "MaxPool"):
                yield node.op_type, None

    def at(self, kind: str) -> bool:
        """Whether the next step is of this kind."""
        return self.ahead is not None and self.ahead[0] == kind

    def take(self, kind: str) -> Any:
        """Return the next step, which must be of this kind."""
        if not self.at(kind):
            raise CheckpointError(f"no {kind} where a CSPDarkNet has one")
        assert self.ahead is not None
        value = self.ahead[1]
        self.ahead = next(self.steps, None)
        return value

    def all_left(self, kind: str) -> list[Any]:
        """Return all steps of a kind that are left."""
        left = [] if self.ahead is None else [self.ahead, *self.steps]
        return [value for found, value in left if found == kind]


def _walk(path: Path, nodes: _Nodes) -> tuple[list[list[np.ndarray]], dict[str, Any]]:
    convs: list[list[np.ndarray]] = []
    channels: list[int] = []
    depth: list[int] = []
    depthwise = last = False

    def conv() -> int:
        arrays, stride = nodes.take("Conv")
        if len(arrays) != 2 or arrays[0].ndim != 4:
            raise CheckpointError(f"{path} has convolutions without bias: fold its batch-norms.")
        convs.append(arrays)
        return int(stride)

    try:
        nodes.take("Concat")  # the slices of Focus
        conv()
        while not last:
            if conv() != 2:
                raise CheckpointError("no convolution with stride 2 where a stage begins")
            depthwise = convs[-1][0].shape[1] == 1
            if depthwise:
                conv()
            channels.append(convs[-1][0].shape[0])
            conv()  # conv1 of the stage, or of the pooling
            if nodes.at("MaxPool"):
                last = True
                while nodes.at("MaxPool"):
                    nodes.take("MaxPool")
                nodes.take("Concat")
                conv()
                conv()
            conv()
            before = len(convs)
            while not nodes.at("Concat"):
                conv()
            depth.append((len(convs) - before) // (3 if depthwise else 2))
            nodes.take("Concat")
            conv()
    except CheckpointError as error:
        raise CheckpointError(f"{path} is no YOLOX with a CSPDarkNet: {error}") from error
    architecture = {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "use_depthwise": depthwise,
    }
    return convs, architecture


def _named(convs: list[list[np.ndarray]], plan: Any) -> dict[str, np.ndarray]:
    named: dict[str, np.ndarray] = {}
    last = len(plan.stackwise_depth) - 1
    for unit, arrays in zip(conv_units(plan), convs, strict=True):
        named |= _unfolded(yolox.unit_name(unit, last), *arrays)
    return named


def _unfolded(name: str, weight: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    """Return a convolution, and a batch-norm after it that only adds the bias."""
    ones, zeros = np.ones_like(bias), np.zeros_like(bias)
    variance = ones - np.float32(yolox.EPSILON)
    norm = zip(yolox.NORM, (ones, bias, zeros, variance), strict=True)
    return {f"{name}.conv.weight": weight} | {f"{name}.bn.{part}": array for part, array in norm}


def _neck_and_head(convs: list[list[np.ndarray]], plan: Any) -> dict[str, np.ndarray]:
    """Name what follows the backbone; nothing, if it is not as many as YOLOX has there."""
    plan.levels = ("P3", "P4", "P5")
    for plan.neck_depth in range(MAX_NECK_DEPTH + 1):
        order = _order(plan)
        if len(order) >= len(convs):
            break
    if len(order) != len(convs) or any(len(arrays) != 2 for arrays in convs):
        return {}
    named: dict[str, np.ndarray] = {}
    for place, arrays in zip(order, convs, strict=True):
        if isinstance(place, str):
            named |= dict(zip((f"{place}.weight", f"{place}.bias"), arrays, strict=True))
        else:
            named |= _unfolded(yolox.neck_or_head_name(place), *arrays)
    return named


def _order(plan: Any) -> list[ConvUnit | str]:
    """Return the convolutions of neck and head; predictions, without batch-norm, by name."""
    order: list[ConvUnit | str] = list(neck_units(plan))
    predictions = {
        (i, kind): yolox.prediction_name(i, kind) for i, kind, _ in prediction_layers(plan)
    }
    for level in range(len(plan.levels)):
        units = [unit for unit in head_units(plan) if unit.stage == level]
        order += [unit for unit in units if not unit.place.startswith("box")]
        order.append(predictions[level, "classes"])
        order += [unit for unit in units if unit.place.startswith("box")]
        order += [predictions[level, kind] for kind in ("boxes", "objectness")]
    return order
