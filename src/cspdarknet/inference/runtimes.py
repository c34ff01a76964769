"""What can run an exported graph, behind one interface.

`run` of each class may be called from several threads at once: `streams` says from how many it
pays. Keras is in a module of its own, so that the others need none.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, Protocol

import numpy as np

from cspdarknet._extras import require
from cspdarknet.model_info import KEY, ModelInfo

RUNTIMES = ("openvino", "onnxruntime", "keras")
MODES = ("latency", "throughput")
# Which runtimes compute in what, and which files they read.
PRECISIONS = {
    "float32": RUNTIMES,
    "bfloat16": ("openvino",),
    "int8": ("openvino", "onnxruntime"),
}
FILES: dict[str, tuple[str, ...]] = {
    "openvino": (".onnx", ".xml"),
    "onnxruntime": (".onnx",),
    "keras": (),
}
# Layers, each for one size of images, that OpenVINO keeps ready to run. By its own number photos of
# a thousand sizes fill gigabytes; so many make photos of forty sizes as fast as that does.
PREPARED_LAYERS = 1024
_SETTLING = Lock()


class Runtime(Protocol):
    """Runs one graph.

    Attributes:
        description: what the graph says of itself.
        output_names: of what `run` returns.
        input_shape: of the images, in the graph's order of axes; `None` for a size that varies.
        streams: how many calls of `run` at a time make full use of the processor.
    """

    description: ModelInfo
    output_names: list[str]
    input_shape: tuple[int | None, ...]
    streams: int

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs, by name, for a batch of images as the graph takes them."""


class OpenVINORuntime:
    """OpenVINO on the processor.

    Compiled for the form of the first batch, which saves a few per cent; and for any, when another
    comes.

    Args:
        model: path of an `.onnx` or `.xml` file, the bytes of an ONNX model, or an
            `openvino.Model`.
        threads: number of threads.
        streams: calls of `run` at a time, among which the threads are shared out.
        precision: `"bfloat16"` computes in it.

    Raises:
        ImportError: if OpenVINO is missing.
        ValueError: if the processor cannot compute in bfloat16, or the file is damaged or of
            another origin.
    """

    def __init__(self, model: Any, threads: int, streams: int, precision: str = "float32") -> None:
        openvino: Any = require("openvino", "openvino", "The runtime 'openvino'")
        _settle(openvino)
        self._core = openvino.Core()
        if precision == "bfloat16":
            self._check_bfloat16()
        self._model = model
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "CPU_RUNTIME_CACHE_CAPACITY": PREPARED_LAYERS,
        }
        with _readable(model, "openvino"):
            network = self._read()
        self.description = ModelInfo.from_json(_rt_info(network), _origin(model))
        self.input_shape = tuple(
            None if size.is_dynamic else size.get_length()
            for size in network.inputs[0].get_partial_shape()
        )
        self.output_names = [output.get_any_name() for output in network.outputs]
        self.streams = streams
        self._network: Any = network  # until it is compiled
        self._idle: dict[tuple[int, ...] | None, SimpleQueue[Any]] = {}
        self._lock = Lock()

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name."""
        idle = self._requests(images.shape)
        request = idle.get()
        try:
            found = request.infer([images], share_inputs=True)
            return {name: found[i] for i, name in enumerate(self.output_names)}
        finally:
            idle.put(request)

    def _requests(self, shape: tuple[int, ...]) -> "SimpleQueue[Any]":
        """Return the idle requests of the graph for a shape, or of that for any (`None`)."""
        with self._lock:
            form = shape if shape in self._idle or not self._idle else None
            if form not in self._idle:
                self._idle[form] = self._compile(form)
            return self._idle[form]

    def _compile(self, shape: tuple[int, ...] | None) -> "SimpleQueue[Any]":
        network, self._network = self._network or self._read(), None
        if shape is not None:
            network.reshape(list(shape))
        compiled = self._core.compile_model(network, "CPU", self._settings)
        idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.streams):
            idle.put(compiled.create_infer_request())
        return idle

    def _read(self) -> Any:
        if isinstance(self._model, bytes):
            return self._core.read_model(self._model, b"")
        if isinstance(self._model, (str, Path)):
            return self._core.read_model(self._model)
        return self._model.clone()

    def _check_bfloat16(self) -> None:
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in able:
            raise ValueError(
                "precision='bfloat16' needs a processor that computes in bfloat16. "
                f"Received: one with {', '.join(able)}. Use 'float32' or 'int8'."
            )


class ONNXRuntime:
    """ONNX Runtime on the processor.

    With several streams each call runs in the thread that makes it.

    Args:
        model: path of an `.onnx` file, or its bytes.
        threads: number of threads.
        streams: calls of `run` at a time.

    Raises:
        ImportError: if ONNX Runtime is missing.
        ValueError: if the file is damaged or of another origin.
    """

    def __init__(self, model: str | Path | bytes, threads: int, streams: int) -> None:
        onnxruntime: Any = require("onnxruntime", "onnxruntime", "The runtime 'onnxruntime'")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads // streams)
        options.log_severity_level = 3
        # Threads that wait for the next run would take the processor from those that decode.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        with _readable(model, "onnxruntime"):
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                options,
                providers=["CPUExecutionProvider"],
            )
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.description = ModelInfo.from_json(metadata.get(KEY), _origin(model))
        self.streams = streams
        self.input_shape = tuple(
            size if isinstance(size, int) else None for size in self._session.get_inputs()[0].shape
        )
        self.output_names = [output.name for output in self._session.get_outputs()]

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name."""
        found = self._session.run(self.output_names, {"images": images})
        return dict(zip(self.output_names, found, strict=True))


@dataclass(frozen=True)
class Settings:
    """How a runtime is to run.

    Attributes:
        precision: what it computes in.
        mode: `"latency"`: all threads work on one batch; `"throughput"`: each on one of its own.
        threads: how many; `None` for all.
    """

    precision: str
    mode: str
    threads: int | None

    def start(self, runtime: str, model: Any) -> Runtime:
        """Start OpenVINO or ONNX Runtime on a graph."""
        threads = self.threads or available_threads()
        streams = threads if self.mode == "throughput" else 1
        if runtime == "openvino":
            return OpenVINORuntime(model, threads, streams, self.precision)
        return ONNXRuntime(model, threads, streams)


def is_installed(*modules: str) -> bool:
    """Whether modules can be imported."""
    return all(importlib.util.find_spec(module) is not None for module in modules)


def available_threads() -> int:
    """Return how many threads this process may run at a time."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _readable(model: Any, runtime: str) -> Iterator[None]:
    """Say in one sentence that a file cannot be read."""
    try:
        yield
    except Exception as error:  # each runtime has kinds of its own
        if not isinstance(model, (str, Path)):
            raise
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise ValueError(
            f"{model} is damaged or incomplete ({runtime}: {reason[0]}): export the model anew."
        ) from error


def _settle(openvino: Any) -> None:
    """Let OpenVINO make its table of NumPy's types, in one thread.

    It does so when the first array comes, and two threads that bring theirs at once would wait for
    each other forever (seen in OpenVINO 2026.4): one with the lock of the table, one with Python's.
    """
    with _SETTLING:
        openvino.Type.u8.to_dtype()


def _rt_info(network: Any) -> str | None:
    """Return our text, which OpenVINO keeps elsewhere when it has read it from an ONNX file."""
    for path in ([KEY], ["framework", KEY]):
        if network.has_rt_info(path):
            return str(network.get_rt_info(path).astype(str))
    return None


def _origin(model: Any) -> str:
    return str(model) if isinstance(model, (str, Path)) else "a model"
