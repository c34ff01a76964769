"""`.keras` archives: zip files of a model's config and weights."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig, parse_config
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.limits import MAX_CONFIG_BYTES
from cspdarknet.checkpoints.readers import keras3
from cspdarknet.checkpoints.readers.hdf5 import HDF5File
from cspdarknet.checkpoints.readers.zip_file import ZipFile

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive with the members that Keras writes."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with ZipFile(path) as archive:
            return {CONFIG, WEIGHTS} <= set(archive.members)
    except CheckpointError:
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
    with ZipFile(path) as archive:
        return archive.read(CONFIG, MAX_CONFIG_BYTES), archive.read(WEIGHTS)
