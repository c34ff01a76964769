"""Small models and files in the manner of YOLOX, for the tests of readers."""

from cspdarknet.checkpoints import stem
from cspdarknet.checkpoints.architecture import conv_units, unit_variables
from cspdarknet.models import CSPDarkNetBackbone
from support import randomize, to_numpy

NET = {"stackwise_channels": [4, 6], "stackwise_depth": [1, 2], "include_rescaling": False}


def build(**changes):
    return randomize(CSPDarkNetBackbone(**{**NET, **changes}))


def yolox_like(**changes):
    return build(padding="symmetric", batch_norm_momentum=0.97, **changes)


def yolox_onnx(model):
    """A small ONNX graph with the nodes that YOLOX's export has, in its order."""
    from onnx import helper, numpy_helper

    nodes, weights = [helper.make_node("Concat", ["x"], ["focus"], axis=1)], []
    for i, unit in enumerate(conv_units(model)):
        if unit.position == "conv3" or (unit.block, unit.position) == ("spp", "conv2"):
            nodes += [helper.make_node("MaxPool", ["x"], ["m"])] * 3 * (unit.block == "spp")
            nodes.append(helper.make_node("Concat", ["x"], [f"c{i}"], axis=1))
        kernel, norm = unit_variables(model, unit)
        kernel = to_numpy(kernel)
        if unit.block == "stem":
            kernel = stem.fold(kernel[:, :, ::-1])
        axes = (2, 3, 0, 1) if unit.conv_type == "depthwise" else (3, 2, 0, 1)
        weights.append(numpy_helper.from_array(kernel.transpose(axes).copy(), f"w{i}"))
        weights.append(numpy_helper.from_array(to_numpy(norm[1]).copy(), f"b{i}"))
        strides = [2, 2] if unit.block == "stage" else [1, 1]
        nodes.append(helper.make_node("Conv", ["x", f"w{i}", f"b{i}"], [f"y{i}"], strides=strides))
    graph = helper.make_graph(nodes, "g", [], [], weights)
    return helper.make_model(graph).SerializeToString()
