"""Turn a graph into one that computes in 8-bit whole numbers: post-training quantization.

Each runtime has a quantizer that knows what it does fast and well: NNCF for OpenVINO, and ONNX
Runtime's own.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require

WORK = ("Conv", "MatMul")
FIRST_STAGE = "dark2_"


def quantize(model: Any, calibration: Sequence[np.ndarray], runtime: str = "onnxruntime") -> Any:
    """Return a graph in int8.

    The range of each activation is measured on the calibration images; weights get a scale for
    each filter. What comes before the first convolution stays as it is, and so does what comes
    last, such as a detector's predictions and their decoding or a classifier's dense layer: it is
    a small part of the work, and the most sensitive. So is the first stage where it is depthwise.

    Args:
        model: what `build_onnx` returns.
        calibration: batches of images as the graph takes them, `(n, height, width, 3)`: a hundred
            images or so of the kind that it will see.
        runtime: which one it is for, `"onnxruntime"` or `"openvino"`.

    Returns:
        An `onnx.ModelProto`, or an `openvino.Model`.

    Raises:
        ValueError: if there are no calibration images, or the runtime is unknown.
        ImportError: if the runtime or its quantizer is missing.

    Example:
        >>> from cspdarknet.export import build_onnx
        >>> classifier = ImageClassifier.from_preset("csp_darknet_tiny_clothing")
        >>> photos = [np.zeros((4, 64, 64, 3), "uint8")]
        >>> small = quantize(build_onnx(classifier, inputs="uint8"), photos)

    References:
        ONNX Runtime, "Quantize ONNX models"; NNCF, "Post-training quantization".
    """
    if runtime not in QUANTIZERS:
        raise ValueError(f"`runtime` must be one of {tuple(QUANTIZERS)}. Received: {runtime!r}")
    batches = [batch for batch in calibration if len(batch)]
    if not batches:
        raise ValueError("`calibration` must hold images. Received none.")
    untouched = {*_outside(model.graph), *_delicate(model.graph)}
    return QUANTIZERS[runtime](model, batches, sorted(untouched))


def _for_onnxruntime(model: Any, batches: Sequence[np.ndarray], untouched: list[str]) -> Any:
    quantization = require("onnxruntime.quantization", "onnxruntime", "int8 for ONNX Runtime")
    onnx = require("onnx", "onnx", "int8")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            result,
            _Reader(batches),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # 7 bits for weights: processors without VNNI add two products in 16 bits.
            reduce_range=True,
            nodes_to_exclude=untouched,
        )
        quantized = onnx.load(result)
    onnx.helper.set_model_props(quantized, {p.key: p.value for p in model.metadata_props})
    return quantized


def _for_openvino(model: Any, batches: Sequence[np.ndarray], untouched: list[str]) -> Any:
    nncf = require("nncf", "int8", "int8 for OpenVINO")
    openvino = require("openvino", "openvino", "int8 for OpenVINO")
    logging.getLogger("nncf").setLevel(logging.WARNING)
    quantized = nncf.quantize(
        openvino.Core().read_model(model.SerializeToString(), b""),
        nncf.Dataset(batches),
        preset=nncf.QuantizationPreset.MIXED,  # activations have a zero of their own
        # As above, 7 bits for weights.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
        subset_size=len(batches),
        ignored_scope=nncf.IgnoredScope(names=untouched, validate=False),
    )
    for item in model.metadata_props:
        quantized.set_rt_info(item.value, [item.key])
    return quantized


QUANTIZERS = {"onnxruntime": _for_onnxruntime, "openvino": _for_openvino}


class _Reader:
    """Gives the calibration images to ONNX Runtime."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next inputs."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _outside(graph: Any) -> list[str]:
    """Name the nodes before the first and after the last convolutions, those among them."""
    started: set[str] = set()  # tensors that a convolution was part of
    before = []
    for node in graph.node:
        if node.op_type in WORK or not started.isdisjoint(node.input):
            started.update(node.output)
        else:
            before.append(node.name)
    going_on: set[str] = set()  # tensors that a convolution will be part of
    last = []
    for node in reversed(graph.node):
        goes_on = not going_on.isdisjoint(node.output)
        if not goes_on:
            last.append(node.name)
        if goes_on or node.op_type in WORK:
            going_on.update(node.input)
    return before + last


def _delicate(graph: Any) -> list[str]:
    """Name the nodes up to the end of the first stage, if that has depthwise convolutions.

    Their channels differ in range by orders of magnitude, which the one scale of an activation
    does not hold: the official YOLOX-nano would find one object in six again, and finds six in
    seven with that stage in float.
    """
    first_stage = [i for i, node in enumerate(graph.node) if node.name.startswith(FIRST_STAGE)]
    if not any(_is_depthwise(graph.node[i]) for i in first_stage):
        return []
    return [node.name for node in graph.node[: first_stage[-1] + 1]]


def _is_depthwise(node: Any) -> bool:
    return node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)
