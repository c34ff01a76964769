"""`.safetensors` files: the variables of a model by path, and its config in the metadata."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.targets import Target, target

CONFIG = "cspdarknet_config"
CLASSIFIER_HEAD = ("predictions/kernel", "predictions/bias")
DETECTOR_HEAD = ("neck_", "head_")  # prefixes of the layers of a detector's neck and head
MAX_HEADER_BYTES = 1 << 27


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins as a safetensors file does: a length, then a JSON object."""
    length = int.from_bytes(start[:8], "little")
    return len(start) >= 9 and start[8:9] == b"{" and length < MAX_HEADER_BYTES


def checkpoint(path: Path) -> Checkpoint:
    """Return the `Checkpoint` of a `.safetensors` file.

    Raises:
        CheckpointError: if the file is damaged.
        ImportError: if the safetensors package is missing.
    """
    arrays, arguments = read(path)
    return Checkpoint(
        path,
        "safetensors",
        {name: array.shape for name, array in arrays.items()},
        lambda name: arrays[name].astype("float32", copy=False),
        layout,
        lambda: ModelConfig.from_arguments(arguments or {}),
        head=_head_paths(arrays),
    )


def _head_paths(paths: Collection[str]) -> tuple[str, ...]:
    detector = tuple(path for path in paths if path.startswith(DETECTOR_HEAD))
    return tuple(path for path in CLASSIFIER_HEAD if path in paths) + detector


def layout(model: Any) -> dict[str, Target]:
    """Return paths as the model itself names its variables, such as `dark2_conv_conv/kernel`."""
    return {variable.path: target(variable) for variable in model.weights}


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """Return all arrays, and the constructor arguments if there are any.

    Raises:
        CheckpointError: if the file is damaged.
        ImportError: if the safetensors package is missing.
    """
    package = require("safetensors", "safetensors", "Reading .safetensors files")
    try:
        with package.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            arguments = json.loads((file.metadata() or {}).get(CONFIG, "null"))
    except Exception as error:  # the package has an error class of its own, and others
        raise CheckpointError(f"{path} is not a safetensors file, or damaged: {error}") from error
    if arguments is not None and not isinstance(arguments, dict):
        raise CheckpointError(f"{path} has a malformed config in its metadata.")
    return arrays, arguments


def write(path: Path, arrays: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> None:
    """Write arrays and the constructor arguments of their model.

    Raises:
        ImportError: if the safetensors package is missing.
    """
    package = require("safetensors.numpy", "safetensors", "Writing .safetensors files")
    package.save_file(dict(arrays), path, metadata={CONFIG: json.dumps(arguments)})
