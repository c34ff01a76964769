"""Those that run a backbone's forward pass in `inference_speed.py`, each in a process of its own.

Run by the interpreter of the contestant's environment: nothing outside a contestant's own function
may need more than the standard library and NumPy.

    python -m peers.contestants NAME '{"size": "tiny", "batch": 1, ...}'
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.workers import serve

Run = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """What to run.

    Attributes:
        size: of the network.
        batch: images in a call.
        pixels: of a side of the images.
        precision: "float32", "bfloat16" or "int8".
        threads: of the processor.
        files: folder with what `networks.prepare` writes.
        channels: of the stages.
        depth: of the stages.
        model: timm's name of the network.
    """

    size: str
    batch: int
    pixels: int
    precision: str
    threads: int
    files: str
    channels: list[int]
    depth: list[int]
    model: str = ""

    def images(self) -> np.ndarray:
        """Return noise of 0..255, channels last."""
        shape = (self.batch, self.pixels, self.pixels, 3)
        return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")

    def expected(self) -> Any:
        """Return the image that all must agree on, and its features by padding."""
        return np.load(Path(self.files) / "expected.npz")


# Each returns a function that does the work once, and what to tell the driver.


def ours(case: Case, runtime: str) -> tuple[Run, dict[str, Any]]:
    """Our `Predictor` on an exported file."""
    from cspdarknet.inference import Predictor

    suffix = ".xml" if runtime == "openvino" else ".onnx"
    name = "ours_int8" if case.precision == "int8" else "ours"
    predictor = Predictor(
        Path(case.files) / f"{name}{suffix}",
        runtime=runtime,
        precision=case.precision,
        threads=case.threads,
    )
    expected = case.expected()
    error = difference(predictor.run(expected["images"])["features"], expected["same"])
    images = case.images()
    return lambda: predictor.run(images), {"difference": error}


def kerascv(case: Case, jit: bool) -> tuple[Run, dict[str, Any]]:
    """KerasCV on TensorFlow: `model(images, training=False)` in a `tf.function`."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(case.threads)
    import keras_cv

    model = keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=case.channels, stackwise_depth=case.depth, include_rescaling=True
    )
    model.load_weights(Path(case.files) / "kerascv.weights.h5")
    call = tf.function(lambda x: model(x, training=False), jit_compile=jit)
    expected = case.expected()
    error = difference(model(expected["images"], training=False).numpy(), expected["same"])
    images = tf.constant(case.images())
    return lambda: call(images).numpy(), {"difference": error}


def plain_openvino(case: Case) -> tuple[Run, dict[str, Any]]:
    """OpenVINO on the plain PyTorch export, with a static shape."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": case.threads,
        "INFERENCE_PRECISION_HINT": "bf16" if case.precision == "bfloat16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }

    def request(batch: int, pixels: int) -> Any:
        model = core.read_model(Path(case.files) / "plain.onnx")
        model.reshape([batch, 3, pixels, pixels])
        return core.compile_model(model, "CPU", settings).create_infer_request()

    expected = case.expected()
    check = request(1, expected["images"].shape[1])
    found = next(iter(check.infer([as_plain(expected["images"])]).values()))
    images, run = as_plain(case.images()), request(case.batch, case.pixels)
    return lambda: run.infer([images]), plain_difference(found, expected)


def plain_onnxruntime(case: Case) -> tuple[Run, dict[str, Any]]:
    """ONNX Runtime on the plain PyTorch export."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case.threads
    session = onnxruntime.InferenceSession(
        Path(case.files) / "plain.onnx", options, providers=["CPUExecutionProvider"]
    )
    expected = case.expected()
    (found,) = session.run(None, {"images": as_plain(expected["images"])})
    images = as_plain(case.images())
    return lambda: session.run(None, {"images": images}), plain_difference(found, expected)


def timm(case: Case, compiled: bool) -> tuple[Run, dict[str, Any]]:
    """A network of timm without its head, in plain PyTorch or through `torch.compile`."""
    if compiled:  # folds the batch-norms and packs the weights
        os.environ["TORCHINDUCTOR_FREEZING"] = "1"
    import timm as library
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.set_num_threads(case.threads)
    layout = torch.channels_last
    model = library.create_model(case.model, num_classes=0, global_pool="")
    model = model.eval().to(memory_format=layout)
    images = torch.from_numpy(as_plain(case.images()) / 255).contiguous(memory_format=layout)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(images)
    call = torch.compile(model) if compiled else model
    dtype = torch.bfloat16 if case.precision == "bfloat16" else None

    def run() -> Any:
        with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
            return call(images)

    return run, {"gflop": counter.get_total_flops() / 1e9}


CONTESTANTS: dict[str, Callable[[Case], tuple[Run, dict[str, Any]]]] = {
    "ours, OpenVINO": lambda case: ours(case, "openvino"),
    "ours, ONNX Runtime": lambda case: ours(case, "onnxruntime"),
    "KerasCV": lambda case: kerascv(case, jit=False),
    "KerasCV, jit_compile": lambda case: kerascv(case, jit=True),
    "plain export, OpenVINO": plain_openvino,
    "plain export, ONNX Runtime": plain_onnxruntime,
    "timm": lambda case: timm(case, compiled=False),
    "timm, torch.compile": lambda case: timm(case, compiled=True),
}


def as_plain(images: np.ndarray) -> np.ndarray:
    """Return images as the plain network wants them: BGR, channels first."""
    return np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))


def plain_difference(found: np.ndarray, expected: Any) -> dict[str, Any]:
    return {"difference": difference(found.transpose(0, 2, 3, 1), expected["symmetric"])}


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the root of the mean squared difference, beside the spread of the right features."""
    return float(np.sqrt(np.mean((found - expected) ** 2)) / np.std(expected))


if __name__ == "__main__":
    name, case = sys.argv[1:]
    run, about = CONTESTANTS[name](Case(**json.loads(case)))
    serve(run, **about)
