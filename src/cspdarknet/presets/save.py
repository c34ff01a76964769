"""Write a preset directory, whole or not at all."""

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import keras

from cspdarknet._version import __version__
from cspdarknet.checkpoints import weights_h5 as keras_h5
from cspdarknet.checkpoints.architecture import parts
from cspdarknet.checkpoints.loading import load_weights
from cspdarknet.presets.config import CONFIG, METADATA, WEIGHTS, read_config
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE
from cspdarknet.presets.reference import reference_outputs


def save_preset(
    model: keras.Model,
    directory: str | Path,
    source: dict[str, Any] | None = None,
    weights_dtype: str | None = None,
) -> None:
    """Write `config.json`, `model.weights.h5` and `metadata.json` (the Keras preset layout).

    Args:
        model: a `CSPDarkNetBackbone`, or an `ImageClassifier` or `YOLOXDetector` with one.
        directory: where to; what else is in a preset directory is kept.
        source: where the weights come from, for the metadata, which then also get figures
            that `verify` compares with.
        weights_dtype: dtype of the stored weights; `"float16"` halves the file, and the variables
            get the rounded values when they are loaded.

    Raises:
        ValueError: if the directory holds something else, the model is of another kind, or a
            weight is too large for the dtype.
    """
    parts(model)
    if str(directory).startswith((KAGGLE, HUGGING_FACE)):
        raise ValueError(f"Save to a local directory first, with push_to={str(directory)!r}.")
    target = Path(directory).resolve()
    _check_place(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        new = Path(scratch) / "preset"
        new.mkdir()
        _write_json(new / CONFIG, _config(model))
        keras_h5.write(model, new / WEIGHTS, weights_dtype)
        _write_json(new / METADATA, _metadata(model) | _origin(model, new / WEIGHTS, source))
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


def _config(model: keras.Model) -> dict[str, Any]:
    config: dict[str, Any] = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)  # how it was trained is no part of a preset
    return config


def _origin(model: keras.Model, weights: Path, source: dict[str, Any] | None) -> dict[str, Any]:
    """For converted weights: where they come from, and figures that `verify` compares with."""
    if source is None:
        return {}
    written = type(model).from_config(model.get_config())  # the stored weights may be rounded
    load_weights(written, weights)
    return {"source": source, "figures": reference_outputs(written)}


def _metadata(model: keras.Model) -> dict[str, Any]:
    return {
        "keras_version": keras.__version__,
        "cspdarknet_version": __version__,
        "parameter_count": model.count_params(),
        "date_saved": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d@%H:%M:%S"),
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
