"""Options that take one of several values: shown in the help, completed, and checked.

The values are those of other modules, which would take seconds to import. A test compares them.
"""

from collections.abc import Sequence
from typing import Any

import typer

TASKS = ("classification", "detection", "regression")
MODEL_TASKS = ("features", *TASKS)
INPUT_CONVENTIONS = ("bgr", "rgb", "normalized")
ACTIVATIONS = ("silu", "relu", "leaky_relu", "leaky_relu_0.01", "relu6", "hard_swish")
RUNTIMES = ("openvino", "onnxruntime", "keras", "fastest")
PRECISIONS = ("float32", "bfloat16", "int8")
DEVICES = ("auto", "cpu", "cuda", "tensorrt")
ON_PROBLEM = ("raise", "fix")
DATASET_FORMATS = (
    *("class folders", "CSV", "CSV multi-label"),
    *("COCO", "Pascal VOC", "YOLO", "Darknet", "CSV boxes", "CVAT", "VIA", "CreateML", "LabelMe"),
    *("keras-yolo3", "packed classes", "packed boxes", "packed numbers", "CSV numbers"),
)
WRITTEN_FORMATS = ("coco", "voc", "yolo", "folder", "multi-label", "numbers")
PACKED_FORMATS = ("array-record", "parquet")
SPLIT_BY = ("class", "random")
FEATURE_FORMATS = ("npz", "safetensors")
SEARCH_METHODS = ("auto", "exact", "index")
PROBE_METHODS = ("knn", "linear", "both")
EXPLAIN_METHODS = ("grad-cam", "layer-cam", "occlusion")
RESULT_FORMATS = ("images", "json", "coco", "csv", "parquet", "yolo", "voc", "labelstudio")
ENGINES = ("local", "ray")
TRACKERS = ("bytetrack", "ocsort", "botsort", "sort")
EXPORT_FORMATS = ("onnx", "openvino", "litert", "torch", "triton", "saved_model")
EXPORT_PRECISIONS = ("float32", "float16", "int8")
EXPORT_INPUTS = ("uint8", "float32")
RECIPES = ("finetune", "scratch", "imagenet", "coco")
TRAINING_PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
CLASS_WEIGHTS = ("equal", "balanced")
REGRESSION_LOSSES = ("huber", "mse")
LABELS = ("single", "multi", "ordinal")


def choice(names: Sequence[str], *declarations: str, help: str, metavar: str | None = None) -> Any:
    """Return an option of Typer whose value is one of several names, in upper or lower case.

    Args:
        names: the values that are allowed.
        *declarations: name of the option, such as `--format`, where it is not the parameter's.
        help: the help text.
        metavar: what the help shows in place of the names.
    """
    known = {name.lower(): name for name in names}

    def check(value: str | None) -> str | None:
        if value is None:
            return None
        if value.lower() not in known:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, names))}.")
        return known[value.lower()]

    return typer.Option(
        *declarations,
        metavar=metavar or f"[{'|'.join(names)}]",
        callback=check,
        autocompletion=completion(names),
        help=help,
    )


def completion(names: Sequence[str]) -> Any:
    """Return the function by which Typer completes one of several names in a shell."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.lower().startswith(incomplete.lower())]

    return complete
