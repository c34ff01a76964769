"""`.keras` archives: zip files of a model's config and weights."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import MAX_CONFIG_BYTES, ModelConfig, parse_config
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import keras3
from cspdarknet.checkpoints.readers.hdf5 import HDF5File
from cspdarknet.checkpoints.readers.torch import MAX_BYTES

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBER_BYTES = {CONFIG: MAX_CONFIG_BYTES, WEIGHTS: MAX_BYTES}


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive with the members that Keras writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(MEMBER_BYTES) <= set(archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def checkpoint(path: Path) -> Checkpoint:
    """Return the `Checkpoint` of a `.keras` file of this package or of KerasCV.

    Raises:
        CheckpointError: if the file is damaged, or claims to be too large.
    """
    config, weights = read_archive(path)
    inner = keras3.checkpoint(HDF5File(path, io.BytesIO(weights)))
    arguments = parse_config(config, f"{CONFIG} of {path}")["config"]
    return replace(inner, format=".keras", config=lambda: ModelConfig.from_arguments(arguments))


def read_archive(path: Path) -> tuple[bytes, bytes]:
    """Return the config and the weights of an archive, as files."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name, limit in MEMBER_BYTES.items():
                if archive.getinfo(name).file_size > limit:
                    raise CheckpointError(f"{path} claims to hold too large a {name}: refused.")
            return archive.read(CONFIG), archive.read(WEIGHTS)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from error
