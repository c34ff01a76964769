"""`identify_model`: what a model is that is given by name, folder or file."""

from dataclasses import replace
from pathlib import Path

from cspdarknet.checkpoints.identification import describe, describe_config, identify
from cspdarknet.checkpoints.weight_file import WeightFile
from cspdarknet.presets.config import CONFIG, RUN_SETTINGS, WEIGHTS
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.sources import find


def identify_model(source: str | Path) -> WeightFile:
    """Say what a model is. Nothing is downloaded for a built-in preset.

    Args:
        source: as in `load_model`, or any other file.

    Raises:
        ValueError: if there is no such model.
    """
    record = PRESETS.get(str(source))
    if record is None and _is_alone(Path(source)):
        return identify(source, sha256=True)
    is_remote = record is not None and bool(record.sources)
    with find(source, load_weights=False if is_remote else None) as files:
        if files.weights is None:
            file = describe_config(Path(source), files.config)
        else:
            file = describe(files.weights, files.config)
    if record is None:
        return file
    return replace(file, description=f"the preset {record.name}", license=record.license)


def _is_alone(path: Path) -> bool:
    """Whether a path is a file or folder without the config of a preset."""
    if path.is_dir():
        return not ((path / CONFIG).is_file() or (path / RUN_SETTINGS).is_file())
    return path.is_file() and not (path.name == WEIGHTS and (path.parent / CONFIG).is_file())
