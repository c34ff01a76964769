"""Storage of the weights of an ONNX graph in float16."""

from typing import Any

import numpy as np

from cspdarknet._extras import require

WEIGHTED_OPS = ("Conv", "MatMul")


def store_float16(model: Any) -> Any:
    """Store the weights of an ONNX model in float16, which halves the file.

    A Cast to float32 follows each weight: the model computes in float32. Runtimes apply these casts
    once, when they load the file.

    Args:
        model: an `onnx.ModelProto`.

    Returns:
        Another `onnx.ModelProto`.
    """
    onnx = require("onnx", "onnx", "Writing ONNX files")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    weights = {
        name
        for node in result.graph.node
        if node.op_type in WEIGHTED_OPS
        for name in node.input[1:]
    }
    limits = np.finfo("float16")
    casts = []
    for weight in result.graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if weight.name not in weights or array.dtype != np.float32:
            continue
        name = weight.name
        array = array.clip(limits.min, limits.max).astype("float16")
        weight.CopyFrom(onnx.numpy_helper.from_array(array, f"{name}.float16"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [weight.name], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *result.graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result
