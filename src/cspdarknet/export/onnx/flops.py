"""Number of floating-point operations (FLOPs) of an ONNX graph."""

from collections.abc import Sequence
from math import prod
from typing import Any

from cspdarknet._extras import require


def count_flops(model: Any, shape: Sequence[int]) -> int:
    """Return the FLOPs of a graph's convolutions and matrix products.

    One multiply-accumulate counts as two operations.

    Args:
        model: an `onnx.ModelProto` with one input.
        shape: the shape of the input, such as `(1, 224, 224, 3)`.

    Raises:
        ValueError: if the shape of one of these products does not follow from that of the input.

    Example:
        >>> from cspdarknet.export import build_onnx
        >>> graph = build_onnx(CSPDarkNetBackbone.from_preset("csp_darknet_tiny"))
        >>> round(count_flops(graph, (1, 224, 224, 3)) / 1e9, 2)
        0.77
    """
    onnx = require("onnx", "onnx", "Counting FLOPs")
    graph = _with_shapes(onnx, model, shape)
    values = {value.name: value for value in (*graph.value_info, *graph.output)}
    weights = {item.name: tuple(item.dims) for item in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            name = node.input[1]
            kernel = weights[name] if name in weights else _shape(values[name])
            total += 2 * prod(_shape(values[node.output[0]])) * _products(node, kernel)
    return total


def _with_shapes(onnx: Any, model: Any, shape: Sequence[int]) -> Any:
    """Return the graph with the shapes of all tensors, inferred from this shape of the input."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for dim, size in zip(fixed.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    for value in (*fixed.graph.output, *fixed.graph.value_info):
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph


def _shape(value: Any) -> tuple[int, ...]:
    dims = value.type.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        raise ValueError(
            "All shapes must follow from that of the input. "
            f"Received: a graph in which that of {value.name!r} does not"
        )
    return tuple(dim.dim_value for dim in dims)


def _products(node: Any, kernel: tuple[int, ...]) -> int:
    """Return the number of products that are summed for one element of the output."""
    if node.op_type == "Conv":
        return prod(kernel[1:])
    transposed = any(item.name == "transB" and item.i for item in node.attribute)
    return kernel[-1] if transposed else kernel[-2]
