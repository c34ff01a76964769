"""Comparison of an ONNX graph with the network of YOLOX, and the names of its weights."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import yolox
from cspdarknet.checkpoints.readers.onnx_graph import Graph, attribute, refuse

MAX_STAGES, MAX_DEPTH = 10, 100
POOL_SIZES = [5, 9, 13]
LEVELS = 3


@dataclass
class Part:
    """A part of the network that the graph was found to have.

    Attributes:
        prefix: prefix of the names of its weights.
        arrays: kernels and biases by name.
        activations: names of its activations.
        outputs: tensors that the next part takes.
        use_depthwise: whether its 3x3 convolutions are depthwise separable.
    """

    prefix: str = ""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    activations: set[str] = field(default_factory=set)
    outputs: list[str] = field(default_factory=list)
    use_depthwise: bool = False


class Network:
    """YOLOX in an ONNX graph; each method raises a `CheckpointError` where the graph differs.

    Args:
        graph: the graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._part = Part()

    # Backbone.

    def backbone(self, slices: str) -> Part:
        """Compare the graph after Focus with a CSPDarkNet.

        Args:
            slices: the tensor of Focus slices.

        Returns:
            The part; its outputs are those of the stages.
        """
        self._part = Part(yolox.BACKBONE)
        x = self._unit(self._next(slices), "stem.conv", 3)
        for stage in range(2, 2 + MAX_STAGES):
            dark = f"dark{stage}"
            down = self._down(x)
            if stage == 2:
                self._part.use_depthwise = attribute(down, "group", 1) > 1
            x = self._spatial(down, f"{dark}.0", 2)
            is_last = len(self._graph.convolutions(x)) == 1
            if is_last:
                x = self._spp(x, f"{dark}.1")
            x = self._csp(x, f"{dark}.{2 if is_last else 1}", residual=not is_last)
            self._part.outputs.append(x)
            if is_last:
                return self._part
        raise CheckpointError(f"it has more than {MAX_STAGES} stages")

    def _spp(self, x: str, name: str) -> str:
        x = self._unit(self._next(x), f"{name}.conv1", 1)
        pools = {node.output[0]: node for node in self._graph.consumers(x, "MaxPool")}
        concat = self._concat(x, 0, 1 + len(POOL_SIZES))
        if set(concat.input[1:]) - set(pools):
            refuse("it has other poolings than the three of a CSPDarkNet")
        sizes = [_window(pools[tensor]) for tensor in concat.input[1:]]
        if sizes != POOL_SIZES:
            refuse(f"it pools windows of {sizes} pixels, and a CSPDarkNet pools {POOL_SIZES}")
        return self._unit(self._next(concat.output[0]), f"{name}.conv2", 1)

    # Neck and head.

    def is_detector(self, backbone: Part) -> bool:
        """Whether the output of the backbone goes on into a convolution, as into YOLOX's neck."""
        return bool(self._graph.convolutions(backbone.outputs[-1]))

    def detector(self, backbone: Part) -> Part:
        """Compare what follows the backbone with YOLOX's neck and head."""
        if len(backbone.outputs) < LEVELS:
            refuse(f"its backbone has {len(backbone.outputs)} stages")
        self._part = Part(use_depthwise=backbone.use_depthwise)
        p3, p4, p5 = backbone.outputs[-LEVELS:]
        lateral5 = self._unit(self._next(p5), "backbone.lateral_conv0", 1)
        x = self._joined(self._upsampled(lateral5), p4, "backbone.C3_p4")
        lateral4 = self._unit(self._next(x), "backbone.reduce_conv1", 1)
        n3 = self._joined(self._upsampled(lateral4), p3, "backbone.C3_p3")
        x = self._spatial(self._down(n3), "backbone.bu_conv2", 2)
        n4 = self._joined(x, lateral4, "backbone.C3_n3")
        x = self._spatial(self._down(n4), "backbone.bu_conv1", 2)
        n5 = self._joined(x, lateral5, "backbone.C3_n4")
        for level, x in enumerate((n3, n4, n5)):
            self._head(x, level)
        return self._part

    def _joined(self, first: str, second: str, name: str) -> str:
        concat = self._concat(first, 0, 2)
        if concat.input[1] != second:
            refuse(f"{name} takes other feature maps")
        return self._csp(concat.output[0], name, residual=False)

    def _upsampled(self, x: str) -> str:
        nodes = self._graph.consumers(x, "Resize", "Upsample")
        if len(nodes) != 1 or attribute(nodes[0], "mode", "nearest") != "nearest":
            refuse("its neck does not repeat pixels to double a feature map")
        return str(nodes[0].output[0])

    def _head(self, x: str, level: int) -> None:
        stems = [node for node in self._graph.convolutions(x) if _size(node, "strides") == 1]
        if len(stems) != 1:
            refuse("its head does not begin with one convolution for each level")
        x = self._unit(stems[0], f"head.stems.{level}", 1)
        branches = self._graph.convolutions(x)
        ends = [self._branch_end(node) for node in branches]
        predictions = [self._graph.convolutions(end) for end in ends]
        if sorted(map(len, predictions)) != [1, 2]:
            refuse("its head has other branches or predictions than YOLOX's")
        for node, outputs in zip(branches, predictions, strict=True):
            branch = "cls" if len(outputs) == 1 else "reg"
            for number in (0, 1):
                x = self._spatial(node, f"head.{branch}_convs.{level}.{number}")
                node = self._graph.convolutions(x)[0]
            names = ("cls",) if len(outputs) == 1 else ("reg", "obj")
            # The four coordinates of a box, and its objectness.
            ordered = sorted(outputs, key=lambda output: -self._weight(output, 1).shape[0])
            for name, output in zip(names, ordered, strict=True):
                self._convolution(output, f"head.{name}_preds.{level}", 1)

    def _branch_end(self, node: Any) -> str:
        """Return the end of two blocks of convolutions."""
        x = ""
        for number in range(4 if self._part.use_depthwise else 2):
            _, x = self._graph.activation((self._next(x) if number else node).output[0])
        return x

    # Blocks.

    def _csp(self, x: str, name: str, *, residual: bool) -> str:
        """Take a CSP stage: a main branch of bottlenecks, and a shortcut that is joined to it."""
        branches = self._graph.convolutions(x)
        if len(branches) != 2:
            refuse(f"{name} does not begin with two convolutions")
        outputs = [self._graph.activation(node.output[0])[1] for node in branches]
        joined = [self._graph.consumers(output, "Concat") for output in outputs]
        # Without bottlenecks both branches end in the concatenation, the main one first.
        shortcuts = [i for i in (0, 1) if any(list(n.input)[1:] == [outputs[i]] for n in joined[i])]
        if len(shortcuts) != 1:
            refuse(f"{name} does not join its two branches as a CSP stage does")
        (shortcut,) = shortcuts
        concat = self._concat(outputs[shortcut], 1, 2)
        x = self._unit(branches[1 - shortcut], f"{name}.conv1", 1)
        self._unit(branches[shortcut], f"{name}.conv2", 1)
        for number in range(MAX_DEPTH + 1):
            if x == concat.input[0]:
                return self._unit(self._next(concat.output[0]), f"{name}.conv3", 1)
            y = self._unit(self._next(x), f"{name}.m.{number}.conv1", 1)
            y = self._spatial(self._next(y), f"{name}.m.{number}.conv2")
            x = self._sum(x, y) if residual else y
        raise CheckpointError(f"{name} has more than {MAX_DEPTH} bottlenecks")

    def _sum(self, x: str, y: str) -> str:
        nodes = [node for node in self._graph.consumers(y, "Add") if x in node.input]
        if len(nodes) != 1:
            refuse("a bottleneck of its backbone does not add its input")
        return str(nodes[0].output[0])

    def _concat(self, x: str, position: int, count: int) -> Any:
        """Return the concatenation of a number of tensors that has one at a position."""
        nodes = [
            node
            for node in self._graph.consumers(x, "Concat")
            if len(node.input) == count and node.input[position] == x
        ]
        if len(nodes) != 1 or attribute(nodes[0], "axis", 1) not in (1, -3):
            refuse("it does not concatenate feature maps where a CSPDarkNet does")
        return nodes[0]

    def _next(self, x: str) -> Any:
        nodes = self._graph.convolutions(x)
        if len(nodes) != 1:
            refuse(f"{len(nodes)} convolutions follow where YOLOX has one")
        return nodes[0]

    def _down(self, x: str) -> Any:
        nodes = [node for node in self._graph.convolutions(x) if _size(node, "strides") == 2]
        if len(nodes) != 1:
            refuse("it has no convolution with stride 2 where YOLOX has one")
        return nodes[0]

    def _spatial(self, node: Any, name: str, stride: int = 1) -> str:
        """Take a 3x3 convolution, or the two of a depthwise separable block."""
        if not self._part.use_depthwise:
            return self._unit(node, name, 3, stride)
        x = self._unit(node, f"{name}.dconv", 3, stride, depthwise=True)
        return self._unit(self._next(x), f"{name}.pconv", 1)

    def _unit(
        self, node: Any, name: str, size: int, stride: int = 1, *, depthwise: bool = False
    ) -> str:
        """Take a convolution and its activation, and return the activated tensor."""
        self._convolution(node, f"{name}.conv", size, stride, depthwise=depthwise)
        activation, x = self._graph.activation(node.output[0])
        self._part.activations.add(activation)
        return x

    def _convolution(
        self, node: Any, name: str, size: int, stride: int = 1, *, depthwise: bool = False
    ) -> None:
        if len(node.input) != 3:
            refuse(
                "its batch normalizations are not folded into the convolutions; export it again "
                "in the inference mode, as YOLOX's tools/export_onnx.py does"
            )
        kernel, bias = self._weight(node, 1), self._weight(node, 2)
        groups = kernel.shape[0] if depthwise else 1
        found = {
            "kernel": kernel.shape[2:],
            "stride": attribute(node, "strides", [1, 1]),
            "padding": attribute(node, "pads", [0] * 4),
            "dilation": attribute(node, "dilations", [1, 1]),
            "groups": attribute(node, "group", 1),
            "bias": bias.shape,
        }
        expected = {
            "kernel": (size, size),
            "stride": [stride] * 2,
            "padding": [(size - 1) // 2] * 4,
            "dilation": [1, 1],
            "groups": groups,
            "bias": kernel.shape[:1],
        }
        for key, value in expected.items():
            if found[key] != value:
                refuse(f"{name} has the {key} {found[key]}, and {value} in YOLOX")
        if attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            refuse(f"{name} pads in another way than YOLOX")
        prefix = self._part.prefix + name
        self._part.arrays |= {f"{prefix}.weight": kernel, f"{prefix}.bias": bias}

    def _weight(self, node: Any, index: int) -> np.ndarray:
        array = self._graph.constant(node.input[index])
        if array is None or array.ndim != (4 if index == 1 else 1):
            refuse("a convolution has no constant kernel and bias")
        return array


def _size(node: Any, name: str) -> int:
    """Return a size that is the same for height and width; 0 if they differ."""
    sizes = set(attribute(node, name, [1, 1]))
    return int(sizes.pop()) if len(sizes) == 1 else 0


def _window(node: Any) -> int:
    """Return the window of a pooling with stride 1 that keeps the size; 0 for another one."""
    size = _size(node, "kernel_shape")
    keeps_size = (
        _size(node, "strides") == 1
        and attribute(node, "pads", [0] * 4) == [size // 2] * 4
        and attribute(node, "auto_pad", "NOTSET") == "NOTSET"
        and _size(node, "dilations") == 1
    )
    return size if keeps_size else 0
