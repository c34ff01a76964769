"""Write a preset directory, whole or not at all."""

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import keras

from cspdarknet._version import __version__
from cspdarknet.checkpoints.verify import figures_of
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE
from cspdarknet.presets.sources import CONFIG, METADATA, WEIGHTS, read_config


def save_preset(
    model: keras.Model, directory: str | Path, source: dict[str, Any] | None = None
) -> None:
    """Write `config.json`, `model.weights.h5` and `metadata.json` (the Keras preset layout).

    `source` tells where the weights come from, and goes into the metadata.
    """
    if str(directory).startswith((KAGGLE, HUGGING_FACE)):
        raise ValueError(f"Save to a local directory first, with push_to={str(directory)!r}.")
    target = Path(directory).resolve()
    _check_place(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        new = Path(scratch) / "preset"
        new.mkdir()
        _write_json(new / CONFIG, keras.saving.serialize_keras_object(model))
        model.save_weights(new / WEIGHTS)
        _write_json(new / METADATA, _metadata(model) | _origin(model, source))
        if target.exists():
            for name in (WEIGHTS, CONFIG, METADATA):
                (new / name).replace(target / name)
        else:
            new.rename(target)


def _check_place(target: Path) -> None:
    """Refuse to write where something other than a preset is."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        read_config(target / CONFIG)
    except ValueError as error:
        raise ValueError(
            f"{str(target)!r} exists and is not a preset directory: choose another place. ({error})"
        ) from error


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
