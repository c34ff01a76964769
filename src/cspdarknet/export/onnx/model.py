"""Conversion of a model to an ONNX graph, from its fused program."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from cspdarknet.export.calibration import calibration_images, check_calibration
from cspdarknet.export.fusion import fused_program
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.onnx.detection import DETECTION_CONVERTERS
from cspdarknet.export.onnx.layers import LAYER_CONVERTERS
from cspdarknet.export.onnx.padding import with_explicit_pads
from cspdarknet.export.onnx.writer import GraphWriter, Value
from cspdarknet.export.program import LayerCall, SymbolicTensor
from cspdarknet.export.quantization import quantize
from cspdarknet.model_info import KEY, ModelInfo

CONVERTERS = {**LAYER_CONVERTERS, **DETECTION_CONVERTERS}


def build_onnx(model: keras.Model, runtime: str = "onnxruntime", **arguments: Any) -> Any:
    """Convert a model to an ONNX graph, fused.

    Args:
        model: a backbone, its `feature_pyramid()`, a classifier, a detector, or another functional
            Keras model of the same types of layers.
        runtime: the runtime for which it is optimized, `"onnxruntime"` or `"openvino"`; either runs
            both.
        **arguments: `inputs`, `image_size`, `letterbox`, `raw_outputs` and `options`, as of
            `export`.

    Returns:
        An `onnx.ModelProto` with a dynamic batch size. Its input is `images`; its outputs are those
        of the Keras model, with the axes in the same order.

    Raises:
        ValueError: if an argument does not fit the model, or a layer cannot be converted.
        ImportError: if the onnx package is missing.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> graph = build_onnx(backbone.feature_pyramid()).graph
        >>> [output.name for output in graph.output]
        ['P3', 'P4', 'P5']
    """
    return onnx_from_graph(*inference_graph(model, **arguments), runtime)


def onnx_for_runtime(
    graph: keras.Model,
    info: ModelInfo,
    runtime: str,
    calibration: str | Path | Sequence[Any] | None = None,
    **sizes: int | None,
) -> Any:
    """Convert an inference graph for a runtime, and quantize it if it is to be in int8.

    Args:
        graph: from `inference_graph`.
        info: from `inference_graph`, with the precision that the weights are to have.
        runtime: `"onnxruntime"` or `"openvino"`.
        calibration: for int8: images or a folder of them, as of `calibration_images`.
        **sizes: arguments of `calibration_images`.

    Returns:
        An `onnx.ModelProto`; for OpenVINO in int8 an `openvino.Model`.

    Raises:
        ValueError: if a layer cannot be converted, or calibration images are missing or not
            used.
        ImportError: if a package is missing.
    """
    check_calibration(info.precision, calibration)
    model = onnx_from_graph(graph, info, runtime)
    if calibration is None:
        return model
    return quantize(model, calibration_images(calibration, info, **sizes), runtime)


def onnx_from_graph(graph: keras.Model, info: ModelInfo, runtime: str = "onnxruntime") -> Any:
    """Convert a graph from one image input to a dict of outputs, in the form best for a runtime."""
    # In ONNX Runtime the Split after a merged convolution costs more than the merging saves.
    program = fused_program(graph, merge=runtime == "openvino")
    names = sorted(graph.output)  # Keras flattens a dict by sorted keys.
    writer = GraphWriter(reserved=["images", *names])
    (source,) = keras.tree.flatten(program.inputs)
    values = {source: Value("images", len(source.shape))}
    for call in program.calls:
        results = _convert(writer, call, [values[tensor] for tensor in call.inputs])
        values.update(zip(call.outputs, results, strict=True))
    outputs = {}
    for name, tensor in zip(names, keras.tree.flatten(program.outputs), strict=True):
        dtype = tensor.dtype if tensor.dtype.startswith("int") else "float32"
        outputs[name] = (writer.as_keras(values[tensor]).name, dtype, _shape(tensor, f"{name}_"))
    inputs = {"images": (info.inputs, _shape(source, ""))}
    return with_explicit_pads(writer.model(inputs, outputs, {KEY: info.to_json()}, graph.name))


def _convert(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert one layer call."""
    layer_type = type(call.operation).__name__
    if layer_type not in CONVERTERS:
        raise ValueError(
            f"Layers must be of a type that can be converted to ONNX: "
            f"{', '.join(sorted(CONVERTERS))}. Received: {call.operation.name!r}, a {layer_type}"
        )
    if call.kwargs.get("training"):
        raise ValueError(
            "Layers must be called without training=True to be converted to ONNX. "
            f"Received: {call.operation.name!r}, which is called with it"
        )
    return CONVERTERS[layer_type](writer, call, inputs)


def _shape(tensor: SymbolicTensor, prefix: str) -> list[int | str]:
    """Return the shape of a tensor with a name for each dynamic size."""
    names = ["batch", *(f"{prefix}size_{axis}" for axis in range(1, len(tensor.shape)))]
    return [size or name for name, size in zip(names, tensor.shape, strict=True)]
