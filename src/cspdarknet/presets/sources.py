"""Find the files of a preset: built in, a local directory, Kaggle Models, or Hugging Face."""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cspdarknet.checkpoints import formats
from cspdarknet.presets.config import CONFIG, WEIGHTS, read_config, split
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE, UnreachableError, fetch
from cspdarknet.presets.records import PRESETS, YOLOX_FREE, Source


@dataclass(frozen=True)
class PresetFiles:
    """The files of one preset.

    Attributes:
        origin: what the user typed.
        config: constructor arguments of the backbone.
        weights: the weight file, if the preset has (and needs) one.
        free: arguments that may be overridden although weights are loaded.
        head: constructor arguments of the classifier or detector around the backbone, if it is
            one.
    """

    origin: str
    config: dict[str, Any]
    weights: Path | None
    free: frozenset[str] = frozenset()
    head: dict[str, Any] | None = None

    @property
    def is_detector(self) -> bool:
        """Whether it is a detector's, rather than a classifier's or a backbone's."""
        return self.head is not None and "bounding_box_format" in self.head


def find(preset: str | Path, load_weights: bool | None) -> PresetFiles:
    """Return the files that `preset` names; nothing is fetched for an architecture alone."""
    if isinstance(preset, Path):
        return (_weight_file if preset.is_file() else _directory)(preset, load_weights)
    if not isinstance(preset, str):
        raise ValueError(
            f"`preset` must be a name or a path. Received: preset={preset!r} of type "
            f"{type(preset).__name__}"
        )
    if preset in PRESETS:
        return _built_in(preset, load_weights)
    if preset.startswith((KAGGLE, HUGGING_FACE)):
        return _remote(preset, load_weights)
    if preset and os.path.isdir(preset):  # noqa: PTH112  (a name of any length is no error)
        return _directory(Path(preset), load_weights)
    if preset and os.path.isfile(preset):  # noqa: PTH113
        return _weight_file(Path(preset), load_weights)
    raise ValueError(_unknown(preset))


def _unknown(preset: str) -> str:
    near = difflib.get_close_matches(preset, PRESETS, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return (
        f"Unknown preset: {preset!r}. {hint}A preset is one of {', '.join(PRESETS)}; or a local "
        "directory; or a weight file of YOLOX; or 'kaggle://owner/model/framework/variation'; or "
        "'hf://owner/repository'."
    )


def _built_in(name: str, load_weights: bool | None) -> PresetFiles:
    preset = PRESETS[name]
    if load_weights and not preset.has_weights:
        with_weights = ", ".join(p.name for p in PRESETS.values() if p.has_weights)
        raise ValueError(
            f"The preset {name!r} is an architecture without trained weights: leave out "
            f"`load_weights=True`, or choose one of {with_weights}."
        )
    if preset.folder is not None:
        return replace(_directory(preset.folder, load_weights), origin=name)
    use = preset.has_weights and load_weights is not False
    weights = _first_reachable(name, preset.sources) if use else None
    return PresetFiles(name, preset.config(), weights, preset.free, preset.head())


def _first_reachable(name: str, sources: tuple[Source, ...]) -> Path:
    """Fetch the weights from the first source that answers."""
    failures = []
    for source in sources:
        file = WEIGHTS if source.uri.startswith(KAGGLE) else ""
        try:
            return fetch(source.uri, file, source.sha256)
        except UnreachableError as error:
            failures.append(str(error))
    raise UnreachableError(
        f"The weights of {name!r} are not at hand: {'; '.join(failures)}. Fetch one of these files "
        "by another way and pass it to cspdarknet.checkpoints.load(path), or use "
        f"from_preset({name!r}, load_weights=False) for the architecture alone."
    )


def _directory(path: Path, load_weights: bool | None) -> PresetFiles:
    if not path.is_dir():
        raise ValueError(f"There is no preset directory {str(path)!r}.")
    config = read_config(path / CONFIG)
    weights = path / WEIGHTS
    # KerasCV writes the weights' file name into the config, null for a preset without weights.
    promised = config.get("weights", WEIGHTS if weights.exists() else None) is not None
    if promised and load_weights is not False and not weights.exists():
        raise ValueError(
            f"The preset {str(path)!r} names weights in its {CONFIG}, but has no {WEIGHTS}: copy "
            "the file there, or pass load_weights=False."
        )
    if load_weights and not promised:
        raise ValueError(
            f"The preset {str(path)!r} has no {WEIGHTS}: leave out `load_weights=True`."
        )
    use = promised and load_weights is not False
    backbone, head = split(config["config"])
    return PresetFiles(str(path), backbone, weights if use else None, head=head)


def _weight_file(path: Path, load_weights: bool | None) -> PresetFiles:
    """Take a file that tells its architecture for a preset."""
    if path.suffix == ".keras":
        raise ValueError(
            f"{path} is a saved model, not a preset: cspdarknet.checkpoints.load reads it."
        )
    with formats.opened(path) as checkpoint:
        config, head = checkpoint.config(), checkpoint.head_config()
    if config is None:
        raise ValueError(f"{path} does not tell its architecture: put its {CONFIG} beside it.")
    if head is None:
        config, head = split(config)
    weights = None if load_weights is False else path
    return PresetFiles(str(path), config, weights, YOLOX_FREE, head)


def _remote(handle: str, load_weights: bool | None) -> PresetFiles:
    """Fetch the config, then the weights if they are wanted, into the hub's own cache."""
    try:
        config = read_config(fetch(handle, CONFIG))
        promised = config.get("weights", WEIGHTS) is not None
        if load_weights and not promised:
            raise ValueError(
                f"The preset {handle!r} has no weights: leave out `load_weights=True`."
            )
        use = promised and load_weights is not False
        weights = fetch(handle, WEIGHTS) if use else None
    except UnreachableError as error:
        raise UnreachableError(
            f"{error}. Put {CONFIG} and {WEIGHTS} into a directory by hand, and pass its path as "
            "the preset."
        ) from error
    backbone, head = split(config["config"])
    return PresetFiles(handle, backbone, weights, head=head)
