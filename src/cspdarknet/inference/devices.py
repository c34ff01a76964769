"""The device that a runtime computes on: the processor, or a GPU of NVIDIA."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cspdarknet._extras import require

DEVICES = ("auto", "cpu", "cuda", "tensorrt")
GPU_DEVICES = ("cuda", "tensorrt")
# ONNX Runtime's names of what computes on a device.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
GPU_FILES = (Path("/proc/driver/nvidia/gpus"), Path("/dev/nvidia0"), Path("/dev/dxg"))


def has_gpu() -> bool:
    """Whether there is a GPU of NVIDIA; nothing is imported to find out."""
    return any(path.exists() for path in GPU_FILES)


def onnxruntime_devices() -> list[str]:
    """Return the devices that the installed ONNX Runtime can use."""
    onnxruntime: Any = require("onnxruntime", "onnxruntime", "The runtime 'onnxruntime'")
    available = onnxruntime.get_available_providers()
    return [device for device, provider in PROVIDERS.items() if provider in available]


def keras_device() -> str:
    """Return the kind of device that the Keras backend computes on, such as `"cpu"` or `"gpu"`."""
    import keras

    device = str(keras.ops.zeros(()).device).lower()  # each backend writes it in its own form
    kinds = {"cuda": "gpu", "gpu": "gpu", "tpu": "tpu", "mps": "mps", "xpu": "xpu"}
    return next((kind for part, kind in kinds.items() if part in device), "cpu")


def runtimes_for(device: str, names: Sequence[str]) -> list[str]:
    """Return the runtimes that compute on a device, the preferred one first.

    Args:
        device: one of `DEVICES`; `"auto"` is a GPU where a runtime can use one.
        names: the runtimes to choose from, in the order of preference on processors.

    Raises:
        ValueError: if none computes on the device.
    """
    if device == "cpu" or (device == "auto" and not has_gpu()):
        return list(names)
    wanted = "cuda" if device == "auto" else device
    able = [name for name in names if wanted in _devices_of(name)]
    if not able and device != "auto":
        raise ValueError(
            f"No installed runtime computes on device={device!r}: install `onnxruntime-gpu` in "
            "place of onnxruntime"
            + (", or a Keras backend for the GPU" if device == "cuda" else "")
            + ", and the driver of the GPU; or use device='cpu'."
        )
    return [*able, *(name for name in names if name not in able and device == "auto")]


def _devices_of(runtime: str) -> list[str]:
    if runtime == "onnxruntime":
        return onnxruntime_devices()
    if runtime == "keras":
        return ["cuda" if keras_device() == "gpu" else "cpu"]
    return ["cpu"]


def onnxruntime_device(device: str) -> str:
    """Return the device of ONNX Runtime for the one that was asked for.

    Raises:
        ValueError: if the installed ONNX Runtime cannot use it.
    """
    available = onnxruntime_devices()
    if device == "auto":
        return "cuda" if "cuda" in available and has_gpu() else "cpu"
    if device not in available:
        raise ValueError(
            f"device={device!r} needs `onnxruntime-gpu` in place of onnxruntime. "
            f"Received: an ONNX Runtime for {', '.join(available)}."
        )
    return device


def check_session(session: Any, device: str) -> None:
    """Check that ONNX Runtime uses a device: without its libraries it takes the processor.

    Raises:
        ValueError: if it uses another one.
    """
    used = session.get_providers()[0]
    if used != PROVIDERS[device]:
        raise ValueError(
            f"ONNX Runtime cannot start on device={device!r}, and would use {used}: install the "
            "libraries of CUDA and cuDNN (and TensorRT) in the versions that it was built for, or "
            "use device='cpu'."
        )


def check_device(device: str, runtime: str) -> None:
    """Check that OpenVINO or Keras computes on a device.

    Raises:
        ValueError: if it computes on another one.
    """
    if device not in GPU_DEVICES or device in _devices_of(runtime):
        return
    used = _devices_of(runtime)[0]
    remedy = "install a build of it for the GPU, or use" if runtime == "keras" else "use"
    raise ValueError(
        f"The runtime {runtime!r} computes on {used}. Received: device={device!r}: {remedy} "
        "another runtime, or device='cpu'."
    )
