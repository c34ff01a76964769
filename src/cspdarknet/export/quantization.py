"""Post-training quantization of ONNX graphs to int8.

Each runtime has a quantizer that knows which int8 operations it runs fast: NNCF for OpenVINO, and
that of ONNX Runtime.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet._extras import require

WEIGHTED_OPS = ("Conv", "MatMul")
FIRST_STAGE = "dark2_"  # the prefix of its layers' names


def quantize(model: Any, calibration: Sequence[np.ndarray], runtime: str = "onnxruntime") -> Any:
    """Quantize the weights and activations of an ONNX graph to int8.

    The ranges of activations are measured on the calibration images; weights are quantized per
    channel. The operations before the first convolution and from the last ones on stay in float,
    such as a detector's prediction layers and box decoding or a classifier's dense layer: they take
    little time and would lose the most accuracy. A depthwise first stage stays in float, too.

    Args:
        model: an `onnx.ModelProto` from `build_onnx`.
        calibration: batches of images `(n, height, width, 3)` as the graph takes them: about 100
            images like those that it will see.
        runtime: the runtime that it is for, `"onnxruntime"` or `"openvino"`.

    Returns:
        An `onnx.ModelProto`, or an `openvino.Model`.

    Raises:
        ValueError: if there are no calibration images, or the runtime is unknown.
        ImportError: if the runtime or its quantizer is missing.

    Example:
        >>> from cspdarknet.export import build_onnx
        >>> classifier = ImageClassifier.from_preset("csp_darknet_tiny_clothing")
        >>> images = [np.zeros((4, 64, 64, 3), "uint8")]
        >>> quantized = quantize(build_onnx(classifier), images)

    References:
        ONNX Runtime, "Quantize ONNX models"; NNCF, "Post-training quantization".
    """
    check_choice("runtime", runtime, tuple(QUANTIZERS))
    batches = [batch for batch in calibration if len(batch)]
    if not batches:
        raise ValueError("`calibration` must hold images. Received: none")
    in_float = {*_outer_nodes(model.graph), *_depthwise_first_stage(model.graph)}
    return QUANTIZERS[runtime](model, batches, sorted(in_float))


def _quantize_for_onnxruntime(
    model: Any, batches: Sequence[np.ndarray], in_float: list[str]
) -> Any:
    quantization = require("onnxruntime.quantization", "onnxruntime", "int8 for ONNX Runtime")
    onnx = require("onnx", "onnx", "int8")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            result,
            _CalibrationReader(batches),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # 7 bits for weights: processors without VNNI add two products in 16 bits.
            reduce_range=True,
            nodes_to_exclude=in_float,
        )
        quantized = onnx.load(result)
    onnx.helper.set_model_props(quantized, {p.key: p.value for p in model.metadata_props})
    return quantized


def _quantize_for_openvino(model: Any, batches: Sequence[np.ndarray], in_float: list[str]) -> Any:
    nncf = require("nncf", "int8", "int8 for OpenVINO")
    openvino = require("openvino", "openvino", "int8 for OpenVINO")
    logging.getLogger("nncf").setLevel(logging.WARNING)
    quantized = nncf.quantize(
        openvino.Core().read_model(model.SerializeToString(), b""),
        nncf.Dataset(batches),
        preset=nncf.QuantizationPreset.MIXED,  # asymmetric activations
        # 7 bits for weights, for the same reason as above.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
        subset_size=len(batches),
        ignored_scope=nncf.IgnoredScope(names=in_float, validate=False),
    )
    for item in model.metadata_props:
        quantized.set_rt_info(item.value, [item.key])
    return quantized


QUANTIZERS = {"onnxruntime": _quantize_for_onnxruntime, "openvino": _quantize_for_openvino}


class _CalibrationReader:
    """Feeds the calibration images to the quantizer of ONNX Runtime."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next inputs."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _outer_nodes(graph: Any) -> list[str]:
    """Return the names of the nodes before the first weighted ops and from the last ones on."""
    downstream: set[str] = set()  # tensors that depend on a weighted op
    first = []
    for node in graph.node:
        if node.op_type in WEIGHTED_OPS or not downstream.isdisjoint(node.input):
            downstream.update(node.output)
        else:
            first.append(node.name)
    upstream: set[str] = set()  # tensors that a weighted op depends on
    last = []
    for node in reversed(graph.node):
        is_upstream = not upstream.isdisjoint(node.output)
        if not is_upstream:
            last.append(node.name)
        if is_upstream or node.op_type in WEIGHTED_OPS:
            upstream.update(node.input)
    return first + last


def _depthwise_first_stage(graph: Any) -> list[str]:
    """Return the names of the nodes up to the end of the first stage, if it is depthwise.

    The ranges of its channels differ by orders of magnitude, but activations have one scale for all
    channels: quantized, the official YOLOX-nano loses most of its detections. With this stage in
    float it keeps 85 to 87 % of them (`benchmarks/precision_cost.py`).
    """
    first_stage = [i for i, node in enumerate(graph.node) if node.name.startswith(FIRST_STAGE)]
    if not any(_is_depthwise(graph.node[i]) for i in first_stage):
        return []
    return [node.name for node in graph.node[: first_stage[-1] + 1]]


def _is_depthwise(node: Any) -> bool:
    return node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)
