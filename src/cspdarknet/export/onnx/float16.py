"""Store the weights of an ONNX graph in half precision; it goes on computing in float32."""

from typing import Any

import numpy as np

from cspdarknet._extras import require

WEIGHTED = ("Conv", "MatMul")


def halve(model: Any) -> Any:
    """Return an ONNX model whose weights are float16, with a cast to float32 where they are used.

    Runtimes do these casts once, when they load the file.
    """
    onnx = require("onnx", "onnx", "Writing ONNX files")
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    weights = {
        name for node in halved.graph.node if node.op_type in WEIGHTED for name in node.input[1:]
    }
    casts = []
    for weight in halved.graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if weight.name not in weights or array.dtype != np.float32:
            continue
        name = weight.name
        limits = np.finfo("float16")
        half = array.clip(limits.min, limits.max).astype("float16")
        weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.float16"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [weight.name], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved
