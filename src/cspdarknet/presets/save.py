"""Write a preset directory, whole or not at all."""

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import keras

from cspdarknet._version import __version__
from cspdarknet.checkpoints.verify import figures_of
from cspdarknet.presets.sources import CONFIG, METADATA, WEIGHTS


def save_preset(
    model: keras.Model, directory: str | Path, source: dict[str, Any] | None = None
) -> None:
    """Write `config.json`, `model.weights.h5` and `metadata.json` (the Keras preset layout).

    `source` tells where the weights come from, and goes into the metadata.
    """
    target = Path(directory)
    if target.exists() and not _replaceable(target):
        raise ValueError(
            f"{str(target)!r} exists and is not a preset directory: choose another place."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        new = Path(scratch) / "preset"
        new.mkdir()
        _write_json(new / CONFIG, keras.saving.serialize_keras_object(model))
        model.save_weights(new / WEIGHTS)
        _write_json(new / METADATA, _metadata(model) | _origin(model, source))
        _replace(target, new, aside=Path(scratch) / "previous")


def _replaceable(path: Path) -> bool:
    if not path.is_dir():
        return False
    names = {entry.name for entry in path.iterdir()}
    return not names or CONFIG in names


def _replace(target: Path, new: Path, aside: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        aside.rename(target)
        raise


def _origin(model: keras.Model, source: dict[str, Any] | None) -> dict[str, Any]:
    """For converted weights: where they come from, and figures that `verify` compares with."""
    if source is None:
        return {}
    return {"source": source, "figures": figures_of(model)}


def _metadata(model: keras.Model) -> dict[str, Any]:
    return {
        "keras_version": keras.__version__,
        "cspdarknet_version": __version__,
        "parameter_count": model.count_params(),
        "date_saved": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d@%H:%M:%S"),
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
