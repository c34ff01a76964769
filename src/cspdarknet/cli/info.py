"""`cspdarknet info`: installed versions, backend and devices; or what a model or file is."""

import importlib.metadata
import platform
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet.cli.tables import plain_table, print_table

if TYPE_CHECKING:
    from cspdarknet.checkpoints import WeightFile

SHOWN_CLASSES = 10
INPUTS = {
    "bgr": "BGR images of 0..255",
    "rgb": "RGB images of 0..255",
    "normalized": "normalized RGB images",
}

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


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A preset, folder or weight file, of this package or of others. Default: the "
            "installed software.",
        ),
    ] = None,
) -> None:
    """Show what a model or weight file is; or versions, the Keras backend, runtimes and devices."""
    table = _software() if model is None else _facts(model)
    print_table(Console(), table)


def _software() -> Table:
    import keras

    from cspdarknet.inference.model_source import graph_runtimes

    table = plain_table("", header=False)
    table.add_column("", overflow="fold")
    table.add_row("python", platform.python_version())
    for package in PACKAGES:
        try:
            table.add_row(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            table.add_row(package, "[dim]not installed[/]")
    table.add_row()
    table.add_row("backend", keras.backend.backend())
    table.add_row("image data format", keras.config.image_data_format())
    table.add_row("dtype policy", keras.config.dtype_policy().name)
    table.add_row("devices", ", ".join(devices()))
    table.add_row("runtimes", ", ".join(graph_runtimes("float32")))
    return table


def _facts(model: str) -> Table:
    """Return a table of what a model is."""
    from cspdarknet.presets.identification import identify_model

    file = identify_model(model)
    table = plain_table("", header=False)
    table.add_column("", overflow="fold")
    magnitude = "" if file.stem_magnitude is None else f" (stem {file.stem_magnitude:.3g})"
    values = {
        "model": str(file.path),
        "is": file.description,
        "version": file.version,
        "format": file.format,
        "task": file.task,
        "classes": _classes(file),
        "targets": file.targets and ", ".join(file.targets),
        "image size": _image_size(file),
        "channels": file.channels,
        "input": file.input_convention and f"{INPUTS[file.input_convention]}{magnitude}",
        "activation": file.activation,
        "parameters": file.num_parameters and f"{file.num_parameters:,}",
        "license": file.license or ("unknown" if file.is_loadable else None),
        "SHA-256": file.sha256,
        "can be loaded": "yes" if file.is_loadable else f"no: {file.remedy}",
    }
    for name, value in values.items():
        if value is not None:
            table.add_row(name, escape(str(value)))
    for note in file.notes:
        table.add_row("note", escape(note))
    return table


def _image_size(file: "WeightFile") -> str | None:
    size = file.image_size
    if size is None:
        return None
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def _classes(file: "WeightFile") -> str | None:
    if file.num_classes is None or file.class_names is None:
        return None if file.num_classes is None else f"{file.num_classes}, without names"
    shown = ", ".join(file.class_names[:SHOWN_CLASSES])
    more = ", …" if len(file.class_names) > SHOWN_CLASSES else ""
    return f"{file.num_classes}: {shown}{more}"
