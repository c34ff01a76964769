"""Read and write `.safetensors` files: the variables by path, the config in the metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet.checkpoints.errors import CheckpointError

CONFIG = "cspdarknet_config"


@dataclass(frozen=True)
class Content:
    """What a file holds."""

    arrays: dict[str, np.ndarray]
    config: dict[str, Any] | None


def recognized(start: bytes) -> bool:
    """Whether a file begins as a safetensors file does: a length, then a JSON object."""
    return len(start) >= 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 27


def read(path: Path) -> Content:
    """Read all arrays and the config.

    Raises:
        CheckpointError: if the file is damaged.
        ImportError: if the safetensors package is missing.
    """
    package = require("safetensors", "safetensors", "Reading .safetensors files")
    try:
        with package.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = json.loads((file.metadata() or {}).get(CONFIG, "null"))
    except Exception as error:  # the package has an error class of its own, and others
        raise CheckpointError(f"{path} is not a safetensors file, or damaged: {error}") from error
    if config is not None and not isinstance(config, dict):
        raise CheckpointError(f"{path} has a malformed config in its metadata.")
    return Content(arrays, config)


def write(path: Path, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> None:
    """Write arrays and config."""
    package = require("safetensors.numpy", "safetensors", "Writing .safetensors files")
    package.save_file(dict(arrays), path, metadata={CONFIG: json.dumps(config)})
