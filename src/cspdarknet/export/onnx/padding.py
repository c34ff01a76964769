"""Padding of convolutions and pools as numbers, in ONNX graphs for images of a fixed size."""

from collections.abc import Sequence
from typing import Any

from cspdarknet._extras import require

AUTO_PAD = "auto_pad"


def with_explicit_pads(model: Any) -> Any:
    """Replace `auto_pad` by numbers wherever the size of the image is known.

    With strides, Keras's padding `"same"` depends on the size of the image, so that the runtime
    must compute it. OpenCV computes it wrongly for even sizes.

    Args:
        model: an `onnx.ModelProto`.

    Returns:
        The model, changed in place.
    """
    nodes = [node for node in model.graph.node if any(a.name == AUTO_PAD for a in node.attribute)]
    if not nodes:
        return model
    onnx = require("onnx", "onnx", "Writing ONNX files")
    values = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {value.name: _shape(value) for value in values}
    for node in nodes:
        _, _, *sizes = shapes.get(node.input[0], (0, 0, 0))
        if all(sizes):
            _replace(onnx, node, sizes)
    return model


def _shape(value: Any) -> list[int]:
    """Return the shape of a value, with 0 for a size that is not known."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _replace(onnx: Any, node: Any, sizes: Sequence[int]) -> None:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    windows, strides = attributes["kernel_shape"], attributes["strides"]
    dilations = attributes.get("dilations", [1] * len(windows))
    pads = [
        max((size - 1) // stride * stride + (window - 1) * dilation + 1 - size, 0)
        for size, window, stride, dilation in zip(sizes, windows, strides, dilations, strict=True)
    ]
    kept = [attribute for attribute in node.attribute if attribute.name != AUTO_PAD]
    begin, end = [pad // 2 for pad in pads], [pad - pad // 2 for pad in pads]
    kept.append(onnx.helper.make_attribute("pads", begin + end))
    del node.attribute[:]
    node.attribute.extend(kept)
