"""ONNX exports of YOLOX, whose batch normalizations are folded into the convolutions.

The exporter drops the names of the weights, so the graph is compared with YOLOX's, node by node,
from the image to the predictions. A folded batch normalization becomes one that only adds the bias.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.checkpoints.errors import CheckpointError, damage_reported
from cspdarknet.checkpoints.readers import yolox
from cspdarknet.checkpoints.readers.onnx_graph import Graph, refuse
from cspdarknet.checkpoints.readers.onnx_network import Network
from cspdarknet.checkpoints.readers.protobuf import check_onnx_structure
from cspdarknet.checkpoints.weight_file import ForeignFileError, Kind

MAX_BYTES = 2 << 30  # what a protobuf file can hold
STRIDE = 32  # of which the sides of a detector's images are multiples
# Rows and columns at which the slices of YOLOX's Focus begin, in their order.
FOCUS = [(0, 0), (1, 0), (0, 1), (1, 1)]
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger")


@dataclass(frozen=True)
class OnnxWeights:
    """The weights of an ONNX export of YOLOX, and what its graph says of the model.

    Attributes:
        arrays: the weights under YOLOX's names: the backbone's, and a detector's neck and head.
        activation: name of the activation.
        image_size: side in pixels of the square images; `None` if the graph takes any.
        notes: what a user of the weights should know.
    """

    arrays: dict[str, np.ndarray]
    activation: str
    image_size: int | None
    notes: tuple[str, ...]


def read_onnx(path: Path) -> OnnxWeights:
    """Read an ONNX export of YOLOX.

    Raises:
        CheckpointError: if the file is damaged, or not a YOLOX with folded batch normalizations.
        ImportError: if the onnx package is missing.
    """
    onnx = require("onnx", "onnx", "Reading .onnx files")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path} is larger than an ONNX file can be.")
    with damage_reported(path, "readable ONNX file"):
        check_onnx_structure(path)
        model = onnx.load(path, load_external_data=False)
        external = onnx.TensorProto.EXTERNAL
        if any(item.data_location == external for item in model.graph.initializer):
            refuse(f"{path} keeps weights in other files: refused.")
        graph = Graph(model.graph, onnx.numpy_helper.to_array)
        try:
            return _read(path, graph)
        except ForeignFileError:
            raise
        except CheckpointError as error:
            refuse(f"{path} is not a YOLOX with a CSPDarkNet: {error}.")


def _read(path: Path, graph: Graph) -> OnnxWeights:
    if any(op_type in QUANTIZED for op_type in graph.op_types):
        refuse("it is quantized; load the float32 file that it was made from")
    network = Network(graph)
    focus = _focus(graph)
    if focus is None:
        _check_focus_outside(path, graph)
        refuse("it has no Concat of Focus slices where a CSPDarkNet has one")
    image, slices = focus
    backbone = network.backbone(slices)
    arrays, activations = backbone.arrays, set(backbone.activations)
    notes: tuple[str, ...] = ()
    if network.is_detector(backbone):
        try:
            detector = network.detector(backbone)
        except CheckpointError as error:
            notes = (f"its neck and head are not YOLOX's ({error}): the backbone alone is loaded",)
        else:
            arrays, activations = arrays | detector.arrays, activations | detector.activations
    if len(activations) > 1:
        refuse(f"it has several activations, {' and '.join(sorted(activations))}")
    arrays = {name: array.astype("float32", copy=False) for name, array in arrays.items()}
    return OnnxWeights(_with_batch_norms(arrays), activations.pop(), _image_size(image), notes)


def _with_batch_norms(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Replace the bias of each unit by a batch normalization that only adds it."""
    named: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if not name.endswith(".conv.bias"):  # a kernel, or the bias of a prediction layer
            named[name] = array
            continue
        ones, zeros = np.ones_like(array), np.zeros_like(array)
        values = zip(
            yolox.NORM, (ones, array, zeros, ones - np.float32(yolox.EPSILON)), strict=True
        )
        named |= {f"{name.removesuffix('conv.bias')}bn.{key}": value for key, value in values}
    return named


def _image_size(sizes: list[int | None]) -> int | None:
    """Return the side of the smallest square of YOLOX that images of these sizes fit in."""
    height_and_width = sizes[2:]
    if len(height_and_width) != 2 or None in height_and_width:
        return None
    largest = max(size for size in height_and_width if size is not None)
    return -(-largest // STRIDE) * STRIDE


# Focus: four slices of the image, each with every second row and column.


def _focus(graph: Graph) -> tuple[list[int | None], str] | None:
    """Return the sizes of the image and the concatenated slices; `None` if there are none."""
    for name, sizes in graph.inputs.items():
        for tensor in (name, *(node.output[0] for node in graph.consumers(name, "Cast"))):
            for concat in _concatenated_slices(graph, tensor):
                begins = [_begin(graph, part) for part in concat.input]
                if begins != [(tensor, begin) for begin in FOCUS]:
                    refuse("the slices of its Focus are not those of YOLOX, or in another order")
                return sizes, concat.output[0]
    return None


def _concatenated_slices(graph: Graph, tensor: str) -> Iterable[Any]:
    """Yield the concatenations of four slices of a tensor."""
    tensors, seen = [tensor], set()
    while tensors:
        for node in graph.consumers(tensors.pop(), "Slice", "Concat"):
            if node.output[0] in seen:
                continue
            seen.add(node.output[0])
            if node.op_type == "Slice":
                tensors.append(node.output[0])
            elif len(node.input) == len(FOCUS):
                yield node


def _begin(graph: Graph, tensor: str) -> tuple[str, tuple[int, int] | None]:
    """Return what a tensor is a slice of, and the row and column at which it begins."""
    begins: list[tuple[int, int]] = []
    for _ in (2, 3):
        node = graph.producer(tensor)
        if node is None or node.op_type != "Slice":
            break
        starts, axes, steps = (
            None if len(node.input) <= i else graph.constant(node.input[i]) for i in (1, 3, 4)
        )
        tensor = node.input[0]
        if starts is None or axes is None or steps is None or (np.ravel(steps) != 2).any():
            return tensor, None
        begins += zip((np.ravel(axes) % 4).tolist(), np.ravel(starts).tolist(), strict=True)
    by_axis = dict(begins)
    is_focus = len(begins) == 2 and set(by_axis) == {2, 3}
    return tensor, (by_axis[2], by_axis[3]) if is_focus else None


def _check_focus_outside(path: Path, graph: Graph) -> None:
    """Refuse a CSPDarkNet that takes the slices of Focus as its input."""
    for name, sizes in graph.inputs.items():
        try:
            Network(graph).backbone(name)
        except CheckpointError:
            continue
        channels = sizes[1] if len(sizes) > 1 else None
        raise Kind(
            f"an ONNX export of YOLOX whose Focus is outside the graph, which takes {channels} "
            "channels at half of the size",
            "export the model with its Focus; the order of the channels is not in the file",
            "YOLOX",
            "ONNX",
        ).error(path)
