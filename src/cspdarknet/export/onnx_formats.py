"""The formats that are written from an ONNX graph (ONNX, OpenVINO, Triton), and how they run."""

from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.export import triton
from cspdarknet.export.onnx.detection import SCORES
from cspdarknet.export.onnx.float16 import store_float16
from cspdarknet.model_info import KEY, ModelInfo


def write(model: Any, info: ModelInfo, path: Path, format: str) -> None:
    """Write a model to a file.

    Args:
        model: from `onnx_for_runtime`, for the runtime of the format.
        info: the `ModelInfo`, which goes into the metadata.
        path: the file.
        format: `"onnx"`, `"openvino"` or `"triton"`.

    Raises:
        ImportError: if a package is missing.
    """
    if format == "triton":
        (path / triton.MODEL).parent.mkdir(parents=True)
        write(model, info, path / triton.MODEL, "onnx")
        triton.write_files(model, info, path)
        return
    if format == "onnx":
        model = store_float16(model) if info.precision == "float16" else model
        path.write_bytes(model.SerializeToString())
        return
    openvino = require("openvino", "openvino", "Writing the format openvino")
    if info.precision != "int8":
        model = openvino.Core().read_model(model.SerializeToString(), b"")
    model.set_rt_info(info.to_json(), [KEY])
    openvino.save_model(model, path, compress_to_fp16=info.precision == "float16")


def run(
    path: Path, images: np.ndarray, format: str, score_factor: float = 1.0
) -> dict[str, np.ndarray]:
    """Run a file, and return its outputs by name.

    Args:
        path: the file.
        images: a batch of images as the model takes them.
        format: `"onnx"`, `"openvino"` or `"triton"`.
        score_factor: detectors: the factor by which the scores are multiplied before NMS.

    Raises:
        ImportError: if the runtime is missing.
    """
    if format == "triton":
        return _run_onnx(path / triton.MODEL, images, score_factor)
    return (_run_onnx if format == "onnx" else _run_openvino)(path, images, score_factor)


def _run_onnx(path: Path, images: np.ndarray, score_factor: float) -> dict[str, np.ndarray]:
    runtime = require("onnxruntime", "onnxruntime", "Verifying an ONNX file")
    model = path if score_factor == 1 else _onnx_with_scaled_scores(path, score_factor)
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _onnx_with_scaled_scores(path: Path, score_factor: float) -> bytes:
    """Read an ONNX file, and multiply the decoded scores by a factor."""
    onnx = require("onnx", "onnx", "Verifying an ONNX file")
    model = onnx.load(path)
    nodes = model.graph.node
    for node in nodes:
        node.input[:] = [f"{SCORES}_scaled" if name == SCORES else name for name in node.input]
    factor = onnx.numpy_helper.from_array(np.float32(score_factor), f"{SCORES}_factor")
    model.graph.initializer.append(factor)
    index = next(i for i, node in enumerate(nodes) if SCORES in node.output)
    scaled = onnx.helper.make_node("Mul", [SCORES, factor.name], [f"{SCORES}_scaled"])
    nodes.insert(index + 1, scaled)
    result: bytes = model.SerializeToString()
    return result


def _run_openvino(path: Path, images: np.ndarray, score_factor: float) -> dict[str, np.ndarray]:
    openvino = require("openvino", "openvino", "Verifying an OpenVINO file")
    core = openvino.Core()
    model = core.read_model(path)
    if score_factor != 1:
        _scale_openvino_scores(openvino, model, score_factor)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled([images])
    return {output.get_any_name(): results[output] for output in compiled.outputs}


def _scale_openvino_scores(openvino: Any, model: Any, score_factor: float) -> None:
    """Multiply the decoded scores of an OpenVINO model by a factor."""
    outputs = (output for node in model.get_ops() for output in node.outputs())
    scores = next(output for output in outputs if SCORES in output.get_names())
    consumers = scores.get_target_inputs()
    scaled = openvino.opset13.multiply(scores, np.float32(score_factor))
    for consumer in consumers:
        consumer.replace_source_output(scaled.output(0))
