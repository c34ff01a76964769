"""Runtimes that run exported files: one function each, from a file and images to outputs by name.

`python -m elsewhere.table` measures with them, and writes `docs/elsewhere.md`.
"""

import importlib.metadata
import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.export import onnx_formats

Outputs = dict[str, np.ndarray]


def run_onnxruntime(path: Path, images: np.ndarray, names: Sequence[str]) -> Outputs:
    """Run a `.onnx` file in ONNX Runtime."""
    return onnx_formats.run(path, images, "onnx")


def run_openvino(path: Path, images: np.ndarray, names: Sequence[str]) -> Outputs:
    """Run a `.xml` file in OpenVINO."""
    return onnx_formats.run(path, images, "openvino")


def run_opencv(path: Path, images: np.ndarray, names: Sequence[str]) -> Outputs:
    """Run a `.onnx` file in OpenCV's module `dnn`."""
    import cv2

    network = cv2.dnn.readNetFromONNX(str(path), cv2.dnn.ENGINE_NEW)
    network.setInput(images, "images")
    return dict(zip(names, map(np.asarray, network.forward(names)), strict=True))


def run_ncnn(path: Path, images: np.ndarray, names: Sequence[str]) -> Outputs:
    """Convert a `.onnx` file by pnnx, and run it in ncnn, image by image."""
    import ncnn

    binary = Path(importlib.util.find_spec("pnnx").origin).with_name("pnnx")
    # pnnx keeps float16 weights only if it is told to.
    half = int(images.dtype == np.float32 and "float16" in path.name)
    shape = "[" + ",".join(map(str, (1, *images.shape[1:]))) + "]"
    command = [binary, path.name, f"inputshape={shape}", f"fp16={half}"]
    job = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    network = ncnn.Net()
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = False
    network.opt.use_fp16_arithmetic = network.opt.use_bf16_storage = False
    parameters = path.with_suffix(".ncnn.param")
    if job.returncode or network.load_param(str(parameters)):
        raise RuntimeError(f"pnnx or ncnn has no such operator: {job.stdout[-300:]}")
    network.load_model(str(path.with_suffix(".ncnn.bin")))
    results = [_ncnn_outputs(ncnn, network, image, names) for image in images]
    return {name: np.stack([result[name] for result in results]) for name in names}


def _ncnn_outputs(ncnn: Any, network: Any, image: np.ndarray, names: Sequence[str]) -> Outputs:
    extractor = network.create_extractor()
    extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)))
    outputs = {}
    for i, name in enumerate(names):
        status, value = extractor.extract(f"out{i}")
        if status:
            raise RuntimeError(f"ncnn does not compute {name}")
        outputs[name] = np.array(value)
    return outputs


def run_litert(path: Path, images: np.ndarray, names: Sequence[str]) -> Outputs:
    """Run a `.tflite` file in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    outputs: Outputs = Interpreter(str(path)).get_signature_runner()(images=images)
    return outputs


def run_torch(path: Path, images: np.ndarray, names: Sequence[str]) -> Outputs:
    """Run a `.pt2` file in PyTorch."""
    import torch

    with torch.no_grad():
        outputs = torch.export.load(path).module()(torch.from_numpy(images))
    return {name: value.numpy() for name, value in outputs.items()}


def run_executorch(path: Path, images: np.ndarray, names: Sequence[str]) -> Outputs:
    """Convert a `.pt2` file for ExecuTorch's XNNPACK backend, and run it."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    program = torch.export.load(path)
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path = path.with_suffix(".pte")
    path.write_bytes(edge.to_executorch().buffer)
    method = Runtime.get().load_program(path).load_method("forward")
    outputs = method.execute([torch.from_numpy(images)])
    order = program.module()(torch.from_numpy(images))
    return {name: value.numpy() for name, value in zip(order, outputs, strict=True)}


def convert_coreml(path: Path, images: np.ndarray, names: Sequence[str]) -> None:
    """Convert a `.pt2` file to Core ML, which only a Mac runs."""
    import coremltools
    import torch

    program = torch.export.load(path).run_decompositions({})
    model = coremltools.convert(
        program, minimum_deployment_target=coremltools.target.iOS17, skip_model_load=True
    )
    model.save(str(path.with_suffix(".mlpackage")))
    shutil.rmtree(path.with_suffix(".mlpackage"))


@dataclass(frozen=True)
class Runtime:
    """A runtime, and the export that it takes.

    Attributes:
        title: its name in the table.
        run: the function that runs a file.
        packages: the packages that it needs; the first one's version is in the table.
        suffix: the suffix of the exported file.
        inputs: the dtype of images that the file takes.
        batch_size: the number of images in a batch.
        is_fixed: whether the file is exported for images of a fixed size.
    """

    title: str
    run: Callable[[Path, np.ndarray, Sequence[str]], Outputs | None]
    packages: tuple[str, ...]
    suffix: str = ".onnx"
    inputs: str = "uint8"
    batch_size: int = 2
    is_fixed: bool = True

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [name for name in self.packages if not _is_installed(name)]

    @property
    def version(self) -> str:
        """The version of the runtime."""
        return importlib.metadata.version(self.packages[0].replace("_", "-"))


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


TENSORFLOW = "tensorflow-cpu"
RUNTIMES = {
    "onnxruntime": Runtime(
        "ONNX Runtime", run_onnxruntime, ("onnxruntime", "onnx"), is_fixed=False
    ),
    "openvino": Runtime("OpenVINO", run_openvino, ("openvino", "nncf"), ".xml", is_fixed=False),
    "opencv": Runtime("OpenCV DNN", run_opencv, ("opencv-python", "onnxruntime", "onnx")),
    "ncnn": Runtime("ncnn", run_ncnn, ("ncnn", "pnnx", "onnxruntime", "onnx"), inputs="float32"),
    "litert": Runtime("LiteRT", run_litert, ("ai-edge-litert", TENSORFLOW), ".tflite"),
    "torch": Runtime("torch.export", run_torch, ("torch",), ".pt2", batch_size=1),
    "executorch": Runtime(
        "ExecuTorch", run_executorch, ("executorch", "torch"), ".pt2", "float32", batch_size=1
    ),
    "coreml": Runtime(
        "Core ML", convert_coreml, ("coremltools", "torch"), ".pt2", "float32", batch_size=1
    ),
}
