"""`cspdarknet info`: installed versions, backend, runtimes and devices."""

import importlib.metadata
import platform

from rich.console import Console
from rich.table import Table

PACKAGES = (
    "cspdarknet",
    "keras",
    "numpy",
    "jax",
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "openvino",
    "onnxruntime",
    "onnx",
)


def devices() -> list[str]:
    """Return the names of the devices that the active Keras backend sees."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return [str(device) for device in jax.devices()]
    if backend == "torch":
        import torch

        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return gpus or [f"cpu ({torch.get_num_threads()} threads)"]
    if backend == "tensorflow":
        import tensorflow as tf

        return [device.name for device in tf.config.list_logical_devices()]
    return ["cpu"]


def info() -> None:
    """Show versions, the Keras backend, runtimes and devices."""
    import keras

    from cspdarknet.inference.model_source import graph_runtimes

    table = Table(show_header=False)
    table.add_row("python", platform.python_version())
    for package in PACKAGES:
        try:
            table.add_row(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            table.add_row(package, "[dim]not installed[/]")
    table.add_section()
    table.add_row("backend", keras.backend.backend())
    table.add_row("image data format", keras.config.image_data_format())
    table.add_row("dtype policy", keras.config.dtype_policy().name)
    table.add_row("devices", ", ".join(devices()))
    table.add_row("runtimes", ", ".join(graph_runtimes("float32")))
    Console().print(table)
