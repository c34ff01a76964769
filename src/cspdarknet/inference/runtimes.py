"""Inference runtimes behind one interface: OpenVINO and ONNX Runtime.

`run` of each class may be called from several threads at once. The Keras runtime is in
`keras_runtime.py`, so that this module does not import Keras.
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
from cspdarknet.inference import devices
from cspdarknet.model_info import KEY, ModelInfo

RUNTIMES = ("openvino", "onnxruntime", "keras")
MODES = ("latency", "throughput")
# The runtimes that compute in each precision, and the suffixes of the files that each reads.
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
# Number of layers, each for one image size, that OpenVINO caches. With its default, images of a
# thousand sizes fill gigabytes; this number is as fast as the default up to forty sizes.
CACHED_LAYERS = 1024
_DTYPE_TABLE_LOCK = Lock()


class Runtime(Protocol):
    """Interface of a runtime that has loaded a graph.

    Attributes:
        info: the `ModelInfo` of the graph.
        output_names: names of the outputs.
        input_shape: shape of the images, in the data format of the graph; `None` for a size that
            varies.
        streams: number of concurrent calls of `run` that make full use of the processor.
    """

    info: ModelInfo
    output_names: list[str]
    input_shape: tuple[int | None, ...]
    streams: int

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name for a batch of images in the data format of the graph."""


class OpenVINORuntime:
    """OpenVINO on the CPU.

    The graph is compiled for the shape of the first batch, which is a few percent faster, and for
    any shape when a batch of another shape comes.

    Args:
        model: path of an `.onnx` or `.xml` file, the bytes of an ONNX model, or an
            `openvino.Model`.
        threads: number of threads.
        streams: number of concurrent calls of `run`; the threads are divided among them.
        precision: `"float32"`, or `"bfloat16"` to compute in bfloat16.

    Raises:
        ImportError: if OpenVINO is missing.
        ValueError: if the CPU does not support bfloat16, or the file is damaged or was not
            exported by this package.
    """

    def __init__(self, model: Any, threads: int, streams: int, precision: str = "float32") -> None:
        openvino: Any = require("openvino", "openvino", "The runtime 'openvino'")
        _create_dtype_table(openvino)
        self._core = openvino.Core()
        if precision == "bfloat16":
            self._check_bfloat16()
        self._model = model
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "CPU_RUNTIME_CACHE_CAPACITY": CACHED_LAYERS,
        }
        with _readable(model, "openvino"):
            network = self._read()
        self.info = ModelInfo.from_json(_rt_info(network), _origin(model))
        self.input_shape = tuple(
            None if size.is_dynamic else size.get_length()
            for size in network.inputs[0].get_partial_shape()
        )
        self.output_names = [output.get_any_name() for output in network.outputs]
        self.streams = streams
        self._network: Any = network  # `None` once it is compiled
        self._idle: dict[tuple[int, ...] | None, SimpleQueue[Any]] = {}
        self._lock = Lock()

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name."""
        idle = self._requests(images.shape)
        request = idle.get()
        try:
            outputs = request.infer([images], share_inputs=True)
            return {name: outputs[i] for i, name in enumerate(self.output_names)}
        finally:
            idle.put(request)

    def _requests(self, shape: tuple[int, ...]) -> "SimpleQueue[Any]":
        """Return the idle requests of the graph compiled for a shape, or for any shape (`None`)."""
        with self._lock:
            key = shape if shape in self._idle or not self._idle else None
            if key not in self._idle:
                self._idle[key] = self._compile(key)
            return self._idle[key]

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
        supported = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in supported:
            raise ValueError(
                "precision='bfloat16' needs a CPU that computes in bfloat16. "
                f"Received: a CPU with {', '.join(supported)}. Use 'float32' or 'int8'."
            )


class ONNXRuntime:
    """ONNX Runtime on the CPU or a GPU.

    Args:
        model: path of an `.onnx` file, or its bytes.
        threads: number of threads.
        streams: number of concurrent calls of `run`; the threads are divided among them.
        device: one of `devices.DEVICES`.

    Raises:
        ImportError: if ONNX Runtime is missing.
        ValueError: if the file is damaged or was not exported by this package, or the device
            cannot be used.
    """

    def __init__(
        self, model: str | Path | bytes, threads: int, streams: int, device: str = "cpu"
    ) -> None:
        onnxruntime: Any = require("onnxruntime", "onnxruntime", "The runtime 'onnxruntime'")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads // streams)
        options.log_severity_level = 3
        # Threads that spin until the next run would slow down those that decode images.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        used = devices.onnxruntime_device(device)
        providers = list(dict.fromkeys([devices.PROVIDERS[used], devices.PROVIDERS["cpu"]]))
        with _readable(model, "onnxruntime"):
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=providers
            )
        devices.check_session(self._session, used)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.info = ModelInfo.from_json(metadata.get(KEY), _origin(model))
        self.streams = streams
        self.input_shape = tuple(
            size if isinstance(size, int) else None for size in self._session.get_inputs()[0].shape
        )
        self.output_names = [output.name for output in self._session.get_outputs()]

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name."""
        outputs = self._session.run(self.output_names, {"images": images})
        return dict(zip(self.output_names, outputs, strict=True))


@dataclass(frozen=True)
class RuntimeOptions:
    """Options of a runtime.

    Attributes:
        precision: `"float32"`, `"bfloat16"` or `"int8"`, to compute in.
        mode: `"latency"`: all threads work on one batch; `"throughput"`: each works on its own.
        threads: number of threads; `None` for all.
        device: one of `devices.DEVICES`.
    """

    precision: str
    mode: str
    threads: int | None
    device: str = "auto"

    def start(self, runtime: str, model: Any) -> Runtime:
        """Start OpenVINO or ONNX Runtime on a graph."""
        threads = self.threads or available_threads()
        streams = threads if self.mode == "throughput" else 1
        if runtime == "openvino":
            devices.check_device(self.device, runtime)
            return OpenVINORuntime(model, threads, streams, self.precision)
        return ONNXRuntime(model, threads, streams, self.device)


def is_installed(*modules: str) -> bool:
    """Whether all of these modules are installed; none of them is imported."""
    return all(importlib.util.find_spec(module) is not None for module in modules)


def available_threads() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _readable(model: Any, runtime: str) -> Iterator[None]:
    """Raise one kind of error for a file that cannot be read."""
    try:
        yield
    except Exception as error:  # each runtime has its own classes
        if not isinstance(model, (str, Path)):
            raise
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise ValueError(
            f"{model} is damaged or incomplete ({runtime}: {reason[0]}): export the model again."
        ) from error


def _create_dtype_table(openvino: Any) -> None:
    """Make OpenVINO create its table of NumPy dtypes in one thread.

    It creates the table at the first array. Two threads that pass their first arrays at once
    deadlock (seen in OpenVINO 2026.4): one holds the lock of the table, the other holds the GIL.
    """
    with _DTYPE_TABLE_LOCK:
        openvino.Type.u8.to_dtype()


def _rt_info(network: Any) -> str | None:
    """Return the metadata; OpenVINO stores those of an ONNX file in another place."""
    for path in ([KEY], ["framework", KEY]):
        if network.has_rt_info(path):
            return str(network.get_rt_info(path).astype(str))
    return None


def _origin(model: Any) -> str:
    return str(model) if isinstance(model, (str, Path)) else "a model"


def image_shape(runtime: Runtime) -> tuple[int | None, int | None, int]:
    """Return the height, width (`None` where it takes any) and channels of a model's images."""
    _, *shape = runtime.input_shape
    if runtime.info.data_format == "channels_first":
        shape = [*shape[1:], shape[0]]
    height, width, channels = shape
    return height, width, channels or runtime.info.channels
