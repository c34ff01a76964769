"""A model of NVIDIA's Triton Inference Server: a folder of its model repository."""

from pathlib import Path
from typing import Any

from cspdarknet.model_info import ModelInfo

CONFIG, LABELS, MODEL = "config.pbtxt", "labels.txt", "1/model.onnx"
MAX_BATCH_SIZE = 32
MAX_DELAY = 2000  # microseconds that the first image of a batch waits for others
# From element types of ONNX to those of Triton.
DATA_TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8", 6: "TYPE_INT32", 7: "TYPE_INT64", 10: "TYPE_FP16"}


def write_files(model: Any, info: ModelInfo, folder: Path) -> None:
    """Write the configuration and the class names of a model beside its ONNX file.

    Triton forms batches of the images of several requests, where the batch may have any size.

    Args:
        model: the ONNX model.
        info: its `ModelInfo`.
        folder: the folder of the model, whose name is that of the model.

    References:
        Triton's model repository and model configuration,
        https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/
    """
    graph = model.graph
    is_batched = not any(_dims(value)[0] > 0 for value in (*graph.input, *graph.output))
    lines = [
        f'name: "{folder.name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH_SIZE if is_batched else 0}",
        *(_tensor("input", value, is_batched) for value in graph.input),
        *(_tensor("output", value, is_batched, info) for value in graph.output),
    ]
    if is_batched:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {MAX_DELAY} }}")
    (folder / CONFIG).write_text("\n".join(lines) + "\n")
    if info.class_names:
        (folder / LABELS).write_text("\n".join(info.class_names) + "\n", encoding="utf-8")


def _tensor(kind: str, value: Any, is_batched: bool, info: ModelInfo | None = None) -> str:
    """Return the entry of an input or output."""
    dims = ", ".join(str(dim) for dim in _dims(value)[is_batched:])
    data_type = DATA_TYPES[value.type.tensor_type.elem_type]
    entry = f'name: "{value.name}" data_type: {data_type} dims: [{dims}]'
    if not dims:  # a number for each image
        entry = f'name: "{value.name}" data_type: {data_type} dims: [1] reshape: {{ shape: [] }}'
    if info is not None and info.task == "classification" and info.class_names:
        entry += f' label_filename: "{LABELS}"'
    return f"{kind} [{{ {entry} }}]"


def _dims(value: Any) -> list[int]:
    """Return the shape of an input or output, with -1 for any size."""
    return [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim]
