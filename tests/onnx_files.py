"""ONNX graphs as YOLOX's exporter writes them, of small models and with other activations."""

import numpy as np

from cspdarknet.checkpoints import stem
from cspdarknet.checkpoints.architecture import (
    backbone_of,
    conv_units,
    head_units,
    neck_units,
    prediction_layers,
    task_of,
    unit_variables,
)
from support import to_numpy

FOCUS = [(0, 0), (1, 0), (0, 1), (1, 1)]
# Nodes of an activation of `x`, whose result is `y`.
ACTIVATIONS = {
    "silu": [("Sigmoid", ["x"], "s", {}), ("Mul", ["x", "s"], "y", {})],
    "relu": [("Relu", ["x"], "y", {})],
    "leaky_relu": [("LeakyRelu", ["x"], "y", {"alpha": 0.1})],
    "relu6": [("Clip", ["x", "zero", "six"], "y", {})],
    "hard_swish": [("HardSwish", ["x"], "y", {})],
    "hard_swish of two nodes": [
        ("HardSigmoid", ["x"], "s", {"alpha": 1 / 6, "beta": 0.5}),
        ("Mul", ["s", "x"], "y", {}),
    ],
}


class Graph:
    """A graph under construction."""

    def __init__(self, activation, pools):
        self.activation, self.pools = activation, pools
        self.nodes, self.weights, self.count = [], [], 0

    def constant(self, name, value):
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.array(value), name))
        return name

    def node(self, op_type, inputs, **attributes):
        from onnx import helper

        self.count += 1
        output = f"t{self.count}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        return output

    def focus(self, x):
        for name, value in (("two", [2]), ("end", [2**31 - 1]), ("axis2", [2]), ("axis3", [3])):
            self.constant(name, np.array(value, "int64"))
        slices = []
        for offsets in FOCUS:
            part = x
            for axis, offset in zip(("axis2", "axis3"), offsets, strict=True):
                start = self.constant(f"start{self.count}", np.array([offset], "int64"))
                part = self.node("Slice", [part, start, "end", axis, "two"])
            slices.append(part)
        return self.node("Concat", slices, axis=1)

    def conv(self, x, kernel, bias, stride=1):
        name = f"w{self.count}"
        inputs = [x, self.constant(name, kernel), self.constant(f"{name}.bias", bias)]
        size, depthwise = kernel.shape[2], kernel.shape[1] == 1
        return self.node(
            "Conv",
            inputs,
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[(size - 1) // 2] * 4,
            group=kernel.shape[0] if depthwise else 1,
        )

    def unit(self, x, kernel, bias, stride=1):
        names = {"x": self.conv(x, kernel, bias, stride), "zero": "zero", "six": "six"}
        for op_type, inputs, output, attributes in ACTIVATIONS[self.activation]:
            names[output] = self.node(op_type, [names[name] for name in inputs], **attributes)
        return names["y"]


class Network:
    """The nodes of a model, from its units in the order of `checkpoints.architecture`."""

    def __init__(self, model, graph):
        self.model, self.graph = model, graph
        self.depthwise = backbone_of(model).use_depthwise

    def take(self, units, x, stride=1):
        unit = next(units)
        kernel, norm = unit_variables(self.model, unit)
        kernel = to_numpy(kernel)
        if unit.block == "stem":
            kernel = stem.fold(kernel[:, :, ::-1])
        axes = (2, 3, 0, 1) if unit.conv_type == "depthwise" else (3, 2, 0, 1)
        return self.graph.unit(x, kernel.transpose(axes), to_numpy(norm[1]), stride)

    def spatial(self, units, x, stride=1):
        x = self.take(units, x, stride)
        return self.take(units, x) if self.depthwise else x

    def csp(self, units, x, depth, residual):
        main, shortcut = self.take(units, x), self.take(units, x)
        for _ in range(depth):
            y = self.spatial(units, self.take(units, main))
            main = self.graph.node("Add", [main, y]) if residual else y
        return self.take(units, self.graph.node("Concat", [main, shortcut], axis=1))

    def backbone(self, x):
        backbone, pyramid = backbone_of(self.model), []
        units = conv_units(backbone)
        x = self.take(units, self.graph.focus(x))
        for depth in backbone.stackwise_depth:
            is_last = len(pyramid) == len(backbone.stackwise_depth) - 1
            x = self.spatial(units, x, 2)
            if is_last:
                x = self.spp(units, x)
            x = self.csp(units, x, depth, not is_last)
            pyramid.append(x)
        return pyramid

    def spp(self, units, x):
        x = self.take(units, x)
        pooled = [
            self.graph.node("MaxPool", [x], kernel_shape=[p, p], strides=[1, 1], pads=[p // 2] * 4)
            for p in self.graph.pools
        ]
        return self.take(units, self.graph.node("Concat", [x, *pooled], axis=1))

    def neck(self, p3, p4, p5):
        depth, graph = self.model.neck_depth, self.graph
        units = neck_units(depth, self.depthwise)

        def join(a, b):
            return self.csp(units, graph.node("Concat", [a, b], axis=1), depth, False)

        def double(x):
            return graph.node("Resize", [x, "", "scales"], mode="nearest")

        lateral5 = self.take(units, p5)
        lateral4 = self.take(units, join(double(lateral5), p4))
        n3 = join(double(lateral4), p3)
        n4 = join(self.spatial(units, n3, 2), lateral4)
        return n3, n4, join(self.spatial(units, n4, 2), lateral5)

    def head(self, features):
        units = head_units(self.model.levels, self.depthwise)
        layers = iter(prediction_layers(self.model.levels))
        outputs = []
        for x in features:
            x = self.take(units, x)
            for count in (1, 2):
                y = self.spatial(units, self.spatial(units, x))
                for _ in range(count):
                    kernel, bias = map(to_numpy, self.model.get_layer(next(layers)[2]).weights)
                    outputs.append(self.graph.conv(y, kernel.transpose(3, 2, 0, 1), bias))
        return outputs


def yolox_onnx(model, activation="silu", pools=(5, 9, 13), size=("height", "width")):
    """The bytes of an ONNX graph of a backbone or detector, as YOLOX's exporter writes it."""
    from onnx import TensorProto, helper

    graph = Graph(activation, pools)
    graph.constant("scales", np.array([1, 1, 2, 2], "float32"))
    graph.constant("zero", np.array(0, "float32"))
    graph.constant("six", np.array(6, "float32"))
    network = Network(model, graph)
    outputs = network.backbone("images")
    if task_of(model) == "detection":
        outputs = network.head(network.neck(*outputs[-3:]))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, *size])
    named = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    proto = helper.make_graph(graph.nodes, "g", [images], named, graph.weights)
    opset = helper.make_opsetid("", 14)
    return helper.make_model(proto, opset_imports=[opset], ir_version=8).SerializeToString()
