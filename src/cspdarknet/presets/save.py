"""Writing of a preset folder."""

import datetime
import json
from pathlib import Path
from typing import Any

import keras

from cspdarknet._arguments import check_temperature
from cspdarknet._files import write_whole
from cspdarknet._labels import MULTI
from cspdarknet._unfinished import make_folder, temporary_folder
from cspdarknet._version import __version__
from cspdarknet.checkpoints.architecture import backbone_of
from cspdarknet.checkpoints.config import CLASSIFIER, DETECTOR
from cspdarknet.checkpoints.loading import load_weights
from cspdarknet.checkpoints.writers import write_weights_h5
from cspdarknet.presets.config import CONFIG, METADATA, WEIGHTS, read_config
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE
from cspdarknet.presets.reference import reference_outputs
from cspdarknet.score_thresholds import ScoreThreshold, check_score_threshold, to_json


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
        model: a `CSPDarkNetBackbone`, or an `ImageClassifier`, `ImageRegressor` or
            `YOLOXDetector` with one.
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
    make_folder(target.parent)
    with temporary_folder(target) as folder:
        new = folder / "preset"
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


def save_score_threshold(directory: str | Path, score_threshold: ScoreThreshold) -> None:
    """Store the score threshold of a model in its preset folder, atomically.

    Args:
        directory: the preset folder of a `YOLOXDetector`, or of an `ImageClassifier` with
            `labels="multi"`.
        score_threshold: one number, or one for each class.

    Raises:
        ValueError: if it is not such a folder, or the thresholds do not fit the classes.
    """
    path = Path(directory) / CONFIG
    config = read_config(path)
    if config["class_name"] != DETECTOR and config["config"].get("labels") != MULTI:
        raise ValueError(
            f"{directory} must be the preset folder of a {DETECTOR} or a multi-label {CLASSIFIER}."
        )
    checked = check_score_threshold(score_threshold, config["config"].get("num_classes"))
    config["config"]["score_threshold"] = to_json(checked)
    write_whole(path, lambda part: _write_json(part, config))


def save_temperature(directory: str | Path, temperature: float) -> None:
    """Store the temperature of a classifier in its preset folder, atomically.

    Args:
        directory: the preset folder of an `ImageClassifier`.
        temperature: number that the logits are divided by; 1 for none.

    Raises:
        ValueError: if it is not such a folder, or the temperature is out of range.
    """
    path = Path(directory) / CONFIG
    config = read_config(path)
    if config["class_name"] != CLASSIFIER:
        raise ValueError(f"{directory} must be the preset folder of an {CLASSIFIER}.")
    config["config"].pop("temperature", None)
    if (checked := check_temperature(temperature)) != 1:
        config["config"]["temperature"] = checked
    write_whole(path, lambda part: _write_json(part, config))


def stored_temperature(directory: str | Path) -> float:
    """Return the temperature of the classifier in a preset folder.

    Raises:
        ValueError: if it is not a preset folder, or the temperature in it is out of range.
    """
    config = read_config(Path(directory) / CONFIG)
    return check_temperature(config["config"].get("temperature", 1.0))


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
