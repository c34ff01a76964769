"""Files of a preset folder and of a run folder."""

from pathlib import Path
from typing import Any

from cspdarknet.checkpoints.config import parse_config
from cspdarknet.checkpoints.limits import MAX_CONFIG_BYTES

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
# A run folder: its settings, and the preset folders of its best and its last model.
RUN_SETTINGS, BEST, LAST = "run.json", "best", "last"


def read_config(path: Path) -> dict[str, Any]:
    """Read the `config.json` of a preset of this package or of KerasCV.

    Args:
        path: the file.

    Returns:
        The content: a dict with `"class_name"` and `"config"`.

    Raises:
        ValueError: if the file is missing or is not the config of such a model.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{str(path.parent)!r} is not a preset: it has no {CONFIG}.") from error
    return parse_config(text, str(path))
