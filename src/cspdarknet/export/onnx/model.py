"""A model of this package as an ONNX graph, straight from its fused program."""

from typing import Any

import keras

from cspdarknet.export.fusion import fused_program
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.onnx.detection import DETECTION_LAYERS
from cspdarknet.export.onnx.layers import emit
from cspdarknet.export.onnx.writer import GraphWriter, Value
from cspdarknet.export.program import Slot
from cspdarknet.model_info import KEY, ModelInfo


def build_onnx(model: keras.Model, runtime: str = "onnxruntime", **how: Any) -> Any:
    """Return a model as an ONNX graph, fused.

    Args:
        model: a backbone, its `feature_pyramid()`, a classifier, a detector, or another functional
            Keras model of the layers that these are made of.
        runtime: which one it is meant for, `"onnxruntime"` or `"openvino"`; either runs both.
        **how: as of `export`: `inputs`, `image_size`, `letterbox`, `outputs`, `score_threshold`,
            `iou_threshold`, `max_detections`.

    Returns:
        An `onnx.ModelProto`. The batch is of any size. The input is `images`; outputs are those
        of the Keras model, in its order of axes.

    Raises:
        ValueError: if an argument does not fit the model, or a layer cannot be written.
        ImportError: if the onnx package is missing.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> graph = build_onnx(backbone.feature_pyramid(), inputs="uint8").graph
        >>> [output.name for output in graph.output]
        ['P3', 'P4', 'P5']
    """
    return write_onnx(*inference_graph(model, **how), runtime)


def write_onnx(graph: keras.Model, description: ModelInfo, runtime: str = "onnxruntime") -> Any:
    """Write a graph from one image input to a dict of outputs, as a runtime likes it best."""
    # To ONNX Runtime splitting the result of a merged convolution costs more than merging gains.
    program = fused_program(graph, merge=runtime == "openvino")
    names = sorted(graph.output)  # Keras' order of a dict
    writer = GraphWriter(reserved=["images", *names])
    (source,) = keras.tree.flatten(program.inputs)
    values = {source: Value("images", len(source.shape))}
    for step in program.steps:
        given = [values[slot] for slot in step.inputs]
        written = emit(writer, step, given, DETECTION_LAYERS)
        values.update(zip(step.outputs, written, strict=True))
    outputs = {}
    for name, slot in zip(names, keras.tree.flatten(program.outputs), strict=True):
        kind = slot.dtype if slot.dtype.startswith("int") else "float32"
        outputs[name] = (writer.as_keras(values[slot]).name, kind, _shape(slot, f"{name}_"))
    inputs = {"images": (description.inputs, _shape(source, ""))}
    return writer.model(inputs, outputs, {KEY: description.to_json()}, graph.name)


def _shape(slot: Slot, prefix: str) -> list[int | str]:
    """Return a shape with a name for each size that is free."""
    names = ["batch", *(f"{prefix}size_{axis}" for axis in range(1, len(slot.shape)))]
    return [given or name for name, given in zip(names, slot.shape, strict=True)]
