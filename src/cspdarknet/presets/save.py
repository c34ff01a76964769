"""Writing of a preset folder."""

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import keras

from cspdarknet._version import __version__
from cspdarknet.checkpoints.architecture import backbone_of
from cspdarknet.checkpoints.loading import load_weights
from cspdarknet.checkpoints.writers import write_weights_h5
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

    A new folder is written atomically. In a folder that holds a preset, each of its files is
    replaced atomically; other files there are kept.

    Args:
        model: a `CSPDarkNetBackbone`, or an `ImageClassifier` or `YOLOXDetector` with one.
        directory: the folder.
        source: where the weights come from, such as `{"name": ..., "license": ...}`. It goes into
            the metadata, together with reference outputs for `verify`.
        weights_dtype: dtype of the stored weights; `"float16"` halves the file, and the model
            gets the rounded values when it is loaded.

    Raises:
        ValueError: if the folder holds something else, the model is of another class, or a weight
            is too large for the dtype.
    """
    backbone_of(model)
    if str(directory).startswith((KAGGLE, HUGGING_FACE)):
        raise ValueError(
            f"A preset must be saved to a local folder. Received: {str(directory)!r}. Upload it "
            f"from there with push_to={str(directory)!r}."
        )
    target = Path(directory).resolve()
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        new = Path(scratch) / "preset"
        new.mkdir()
        _write_json(new / CONFIG, _config(model))
        write_weights_h5(model, new / WEIGHTS, weights_dtype)
        metadata = _metadata(model)
        if source is not None:
            metadata |= {"source": source, "reference_outputs": _stored_outputs(model, new)}
        _write_json(new / METADATA, metadata)
        if target.exists():
            for name in (WEIGHTS, CONFIG, METADATA):
                (new / name).replace(target / name)
        else:
            new.rename(target)


def _check_replaceable(target: Path) -> None:
    """Refuse to write where something other than a preset is."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        read_config(target / CONFIG)
    except ValueError as error:
        raise ValueError(
            f"{str(target)!r} exists and is not a preset folder: choose another one. ({error})"
        ) from error


def _config(model: keras.Model) -> dict[str, Any]:
    config: dict[str, Any] = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)  # a preset does not say how it was trained
    return config


def _stored_outputs(model: keras.Model, folder: Path) -> dict[str, list[float]]:
    """Return the reference outputs of the stored weights, which may be rounded."""
    stored = type(model).from_config(model.get_config())
    load_weights(stored, folder / WEIGHTS)
    return reference_outputs(stored)


def _metadata(model: keras.Model) -> dict[str, Any]:
    return {
        "keras_version": keras.__version__,
        "cspdarknet_version": __version__,
        "parameter_count": model.count_params(),
        "date_saved": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d@%H:%M:%S"),
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
