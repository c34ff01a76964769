"""OpenVINO and ONNX Runtime on an ONNX graph, as functions of NumPy arrays."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


def onnxruntime_function(
    graph: bytes | Path, threads: int, *, allow_spinning: bool = True
) -> Function:
    """Return a graph as a function that ONNX Runtime runs on the CPU.

    Args:
        graph: An ONNX file or its bytes.
        threads: Number of threads.
        allow_spinning: Whether waiting threads spin. Those of one session then take the processor
            from others in the same process.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if not allow_spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session: Any = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = session.run(None, {name: images})[0]
        return outputs

    return run


def openvino_function(
    graph: bytes | Path, shape: Sequence[int], threads: int, precision: str = "float32"
) -> Function:
    """Return a graph as a function that OpenVINO runs on the CPU, compiled for one input shape.

    Args:
        graph: An ONNX file or its bytes.
        shape: Shape of the images.
        threads: Number of threads.
        precision: `"float32"` or `"bfloat16"`, to compute in.
    """
    import openvino

    core = openvino.Core()
    model = core.read_model(graph, b"") if isinstance(graph, bytes) else core.read_model(graph)
    model.reshape(list(shape))
    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "NUM_STREAMS": 1,
    }
    request: Any = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(images: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = request.infer([images], share_inputs=True)[0]
        return outputs

    return run
