"""The contestants of `inference_speed.py`: libraries that run a forward pass of a backbone.

Each runs in a process of its own virtual environment, so that nothing outside of a contestant's
own function needs more than NumPy and Pillow.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.images import noise, to_plain
from harness.workers import Work

from peers.kerascv import Architecture, build_backbone
from peers.runtimes import onnxruntime_function, openvino_function


@dataclass(frozen=True)
class Case:
    """The batch and the network that a contestant runs.

    Attributes:
        batch_size: Number of images in a call.
        image_size: Side of the images in pixels.
        precision: `"float32"`, `"bfloat16"` or `"int8"`.
        threads: Number of threads.
        files: Folder of the files that `networks.prepare` writes.
        architecture: Constructor arguments of the backbone.
        timm_model: timm's name of its network.
    """

    batch_size: int
    image_size: int
    precision: str
    threads: int
    files: str
    architecture: Architecture
    timm_model: str = ""

    def images(self) -> np.ndarray:
        """Return the images of a call, RGB in 0..255, channels last."""
        return noise(self.batch_size, self.image_size)

    def expected(self) -> Any:
        """Return the image on which all must agree, and its features by kind of padding."""
        return np.load(Path(self.files) / "expected.npz")


def ours(case: Case, runtime: str) -> Work:
    """Our `Predictor` on an exported file."""
    from cspdarknet import Predictor

    suffix = ".xml" if runtime == "openvino" else ".onnx"
    name = "ours_int8" if case.precision == "int8" else "ours"
    predictor = Predictor(
        Path(case.files) / f"{name}{suffix}",
        runtime=runtime,
        precision=case.precision,
        threads=case.threads,
    )
    expected, images = case.expected(), case.images()
    error = relative_error(predictor.run(expected["images"])["features"], expected["same"])
    return lambda: predictor.run(images), {"relative_error": error}


def kerascv(case: Case, jit_compile: bool) -> Work:
    """KerasCV on TensorFlow: `model(images, training=False)` in a `tf.function`."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(case.threads)
    model = build_backbone(case.architecture)
    model.load_weights(Path(case.files) / "kerascv.weights.h5")
    call = tf.function(lambda x: model(x, training=False), jit_compile=jit_compile)
    expected, images = case.expected(), tf.constant(case.images())
    error = relative_error(model(expected["images"], training=False).numpy(), expected["same"])
    return lambda: call(images).numpy(), {"relative_error": error}


def plain_openvino(case: Case) -> Work:
    """OpenVINO on the plain PyTorch export, with a static shape."""
    path = Path(case.files) / "plain.onnx"
    expected, images = case.expected(), to_plain(case.images())
    checked = to_plain(expected["images"])
    features = openvino_function(path, checked.shape, case.threads, case.precision)(checked)
    run = openvino_function(path, images.shape, case.threads, case.precision)
    return lambda: run(images), plain_facts(features, expected)


def plain_onnxruntime(case: Case) -> Work:
    """ONNX Runtime on the plain PyTorch export."""
    run = onnxruntime_function(Path(case.files) / "plain.onnx", case.threads)
    expected, images = case.expected(), to_plain(case.images())
    return lambda: run(images), plain_facts(run(to_plain(expected["images"])), expected)


def timm(case: Case, compiled: bool) -> Work:
    """A network of timm without its head, in plain PyTorch or with `torch.compile`."""
    if compiled:  # folds the batch normalizations and packs the weights
        os.environ["TORCHINDUCTOR_FREEZING"] = "1"
    import timm as library
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.set_num_threads(case.threads)
    memory_format = torch.channels_last
    model = library.create_model(case.timm_model, num_classes=0, global_pool="")
    model = model.eval().to(memory_format=memory_format)
    images = torch.from_numpy(to_plain(case.images()) / 255)
    images = images.contiguous(memory_format=memory_format)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(images)
    call = torch.compile(model) if compiled else model
    dtype = torch.bfloat16 if case.precision == "bfloat16" else None

    def run() -> Any:
        with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
            return call(images)

    return run, {"gflop": counter.get_total_flops() / 1e9}


CONTESTANTS: dict[str, Callable[[Case], Work]] = {
    "ours, OpenVINO": lambda case: ours(case, "openvino"),
    "ours, ONNX Runtime": lambda case: ours(case, "onnxruntime"),
    "KerasCV": lambda case: kerascv(case, jit_compile=False),
    "KerasCV, jit_compile": lambda case: kerascv(case, jit_compile=True),
    "plain export, OpenVINO": plain_openvino,
    "plain export, ONNX Runtime": plain_onnxruntime,
    "timm": lambda case: timm(case, compiled=False),
    "timm, torch.compile": lambda case: timm(case, compiled=True),
}


def plain_facts(features: np.ndarray, expected: Any) -> dict[str, Any]:
    """Return the facts of a plain network from its features of the checked image."""
    error = relative_error(features.transpose(0, 2, 3, 1), expected["symmetric"])
    return {"relative_error": error}


def relative_error(features: np.ndarray, expected: np.ndarray) -> float:
    """Return the root mean squared error, relative to the standard deviation of the features."""
    return float(np.sqrt(np.mean((features - expected) ** 2)) / np.std(expected))
