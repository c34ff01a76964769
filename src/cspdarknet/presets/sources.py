"""Resolution of the name or path of a model to its config and weights."""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from cspdarknet._arguments import check_choice
from cspdarknet._kerascv import explain_preset
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError, damage_reported
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.input_conventions import input_arguments
from cspdarknet.checkpoints.readers import timm
from cspdarknet.model_info import is_exported_file
from cspdarknet.presets.config import BEST, CONFIG, LAST, RUN_SETTINGS, WEIGHTS, read_config
from cspdarknet.presets.download import HUGGING_FACE, KAGGLE, fetch
from cspdarknet.presets.errors import UnreachableError
from cspdarknet.presets.hugging_face import pinned_address
from cspdarknet.presets.records import PRESETS, Source
from cspdarknet.presets.timm import TIMM_NAMES, explain_timm, read_timm_config


@dataclass(frozen=True)
class PresetPaths:
    """Where the config and the weights of one model are; no weight file is open.

    Attributes:
        origin: name or path of the model, as the user gave it.
        config: constructor arguments of the model; `None` if they must be read off the weights.
        weights: the weight file; `None` if there is none, or it is not loaded.
        folder: the preset folder, if the model is in one.
    """

    origin: str
    config: ModelConfig | None
    weights: Path | None = None
    folder: Path | None = None

    def open(self) -> "PresetFiles":
        """Return the files, with the weight file opened and parsed."""
        if self.weights is None:
            assert self.config is not None
            return PresetFiles(self.origin, self.config, folder=self.folder)
        checkpoint = open_checkpoint(self.weights)
        try:
            config = checkpoint.config() if self.config is None else self.config
            return PresetFiles(self.origin, config, checkpoint, self.folder)
        except BaseException:
            checkpoint.close()
            raise


@dataclass(frozen=True)
class PresetFiles:
    """Config and weights of one model.

    Use it in a `with` statement, or close it, unless it was found with `load_weights=False`.

    Attributes:
        origin: name or path of the model, as the user gave it.
        config: constructor arguments of the model.
        weights: the open weight file; `None` if there is none, or it is not loaded.
        folder: the preset folder, if the model is in one.
    """

    origin: str
    config: ModelConfig
    weights: Checkpoint | None = None
    folder: Path | None = None

    @property
    def task(self) -> str:
        """The task of the model: `"features"`, `"classification"` or `"detection"`."""
        return self.config.task

    def read_as(self, input_convention: str | None) -> Self:
        """Return the files with the images that a weight file of YOLOX was trained on.

        Args:
            input_convention: `"bgr"` or `"rgb"` for images of 0..255; `"normalized"` for RGB images
                with the mean and standard deviation of ImageNet; `None` changes nothing.

        Raises:
            ValueError: if there is no such convention, or the model is not a weight file of YOLOX.
        """
        required = input_arguments(input_convention)
        if input_convention is None:
            return self
        if "input_convention" not in self.config.assumed:
            raise ValueError(
                "`input_convention` is for weight files of YOLOX, which do not state it. Received: "
                f"input_convention={input_convention!r} for {self.origin!r}: leave it out."
            )
        config = replace(
            self.config,
            backbone={**self.config.backbone, **required},
            assumed=self.config.assumed - {"input_convention"},
        )
        if self.weights is None:
            return replace(self, config=config)
        assert self.weights.read_as is not None
        return replace(self, config=config, weights=self.weights.read_as(input_convention))

    def close(self) -> None:
        """Close the weight file."""
        if self.weights is not None:
            self.weights.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find(source: str | Path, load_weights: bool | None = None, which: str = BEST) -> PresetFiles:
    """Find the config and the weights of a model.

    Nothing is downloaded for the config of a built-in preset.

    Args:
        source: a built-in preset's name; a preset folder; a run folder of a training; a weight
            file (`.pth`, `.onnx`, `.safetensors`, `.h5`, `.weights.h5`, `.keras`);
            `"kaggle://owner/model/framework/variation"`; or `"hf://owner/repository"`, also with
            a branch, tag or commit behind it, as in `"hf://owner/repository@v1"`.
        load_weights: whether weights are needed. `None` takes them where the model has some.
        which: the model of a run folder, `"best"` or `"last"`.

    Returns:
        The files, with the weight file opened and parsed once.

    Raises:
        ValueError: if the source is unknown, damaged, or has no weights though
            `load_weights=True`.
        ConnectionError: if files must be downloaded and cannot be.
    """
    files = locate(source, load_weights, which).open()
    if load_weights is not False:
        return files
    files.close()  # a weight file, from which only the config was needed
    return replace(files, weights=None)


def locate(source: str | Path, load_weights: bool | None = None, which: str = BEST) -> PresetPaths:
    """Find the config and the weights of a model as `find` does, without opening the weights."""
    check_choice("load_weights", load_weights, (None, True, False))
    check_choice("which", which, (BEST, LAST))
    if not isinstance(source, (str, Path)):
        raise ValueError(
            f"A preset must be a name or a path. Received: {source!r} of type "
            f"{type(source).__name__}"
        )
    is_run = os.path.isfile(os.path.join(source, RUN_SETTINGS))  # noqa: PTH113, PTH118
    if which != BEST and not is_run:
        raise ValueError(f"which={which!r} is for the run folder of a training. Received: {source}")
    if source in PRESETS:
        return _built_in(str(source), load_weights)
    if isinstance(source, str) and source.startswith((KAGGLE, HUGGING_FACE)):
        return _remote(source, load_weights)
    if source and os.path.isdir(source):  # noqa: PTH112  (a name of any length is not an error)
        return _folder(Path(source), load_weights, which)
    if source and os.path.isfile(source):  # noqa: PTH113
        return _weight_file(Path(source), load_weights)
    raise ValueError(_unknown(source))


def _unknown(source: str | Path) -> str:
    if isinstance(source, Path):
        return f"There is no preset folder, run folder or weight file {str(source)!r}."
    near = difflib.get_close_matches(source, PRESETS, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    names = [name for name in PRESETS if name.partition(".")[0] not in TIMM_NAMES]
    hint = explain_preset(source) or explain_timm(source) or hint
    return (
        f"Unknown preset: {source!r}. {hint}A preset is one of {', '.join(names)}; a name of timm, "
        "such as 'cs3darknet_l' (`cspdarknet presets` lists them); a preset "
        "folder; a run folder; a weight file; 'kaggle://owner/model/framework/variation'; or "
        "'hf://owner/repository'."
    )


def _built_in(name: str, load_weights: bool | None) -> PresetPaths:
    preset = PRESETS[name]
    if load_weights and not preset.has_weights:
        with_weights = ", ".join(p.name for p in PRESETS.values() if p.has_weights)
        raise ValueError(
            f"The preset {name!r} is an architecture without trained weights: leave out "
            f"`load_weights=True`, or choose one of {with_weights}."
        )
    if preset.folder is not None:
        return replace(_folder(preset.folder, load_weights), origin=name)
    if not preset.has_weights or load_weights is False:
        return PresetPaths(name, preset.config())
    return PresetPaths(name, preset.config(), _first_reachable(name, preset.sources))


def _first_reachable(name: str, sources: tuple[Source, ...]) -> Path:
    """Download the weights from the first source that answers."""
    failures = []
    for source in sources:
        try:
            return fetch(source.uri, source.file, source.sha256)
        except UnreachableError as error:
            failures.append(str(error))
    raise UnreachableError(
        f"The weights of {name!r} cannot be downloaded: {'; '.join(failures)}. Get one of these "
        "files by another way and pass its path in place of the name, or use "
        f"from_preset({name!r}, load_weights=False) for the architecture alone."
    )


def _folder(path: Path, load_weights: bool | None, which: str = BEST) -> PresetPaths:
    """Find the files of a preset folder, or of a run folder's model."""
    if (path / RUN_SETTINGS).is_file():
        model = path / which
        if not model.is_dir():
            raise ValueError(f"The run {path} has no finished epoch yet: there is no {model}.")
        return replace(_folder(model, load_weights), origin=str(path))
    weights = path / WEIGHTS

    def path_of(name: str) -> Path:
        if name == WEIGHTS and not weights.exists():
            raise ValueError(
                f"The preset {str(path)!r} names weights in its {CONFIG}, but has no {WEIGHTS}: "
                "copy the file there, or pass load_weights=False."
            )
        return path / name

    default = WEIGHTS if weights.exists() else None
    return replace(_preset(str(path), path_of, load_weights, default), folder=path)


def _remote(handle: str, load_weights: bool | None) -> PresetPaths:
    """Download the config, then the weights if they are needed, into the hub's own cache."""
    address = handle

    def path_of(name: str) -> Path:
        nonlocal address
        path = fetch(address, name)
        if handle.startswith(HUGGING_FACE):  # both files are of one commit
            address = pinned_address(handle, path)
        return path

    try:
        return _preset(handle, path_of, load_weights, WEIGHTS)
    except UnreachableError as error:
        raise UnreachableError(
            f"{error}. Put {CONFIG} and {WEIGHTS} into a folder by hand, and pass its path as the "
            "preset."
        ) from error


def _preset(
    origin: str,
    path_of: Callable[[str], Path],
    load_weights: bool | None,
    default_weights: str | None,
) -> PresetPaths:
    """Read the config of a preset, and find its weights if they are needed.

    Args:
        origin: name or path of the preset.
        path_of: returns the local path of one of its files.
        load_weights: as in `find`.
        default_weights: name of the weight file where the config does not tell it.
    """
    config_file = path_of(CONFIG)
    if (timm_model := read_timm_config(config_file)) is not None:
        weights = None if load_weights is False else path_of(timm.FILE)
        return PresetPaths(origin, timm_model, weights)
    document = read_config(config_file)
    # KerasCV writes the weights' file name into the config, null for a preset without weights.
    has_weights = document.get("weights", default_weights) is not None
    if load_weights and not has_weights:
        raise ValueError(f"The preset {origin!r} has no weights: leave out `load_weights=True`.")
    with damage_reported(origin):
        config = ModelConfig.from_arguments(document["config"])
    if not has_weights or load_weights is False:
        return PresetPaths(origin, config)
    return PresetPaths(origin, config, path_of(WEIGHTS))


def _weight_file(path: Path, load_weights: bool | None) -> PresetPaths:
    """Take a weight file, whose config is read off it, or the preset folder that it is in."""
    if is_exported_file(path):
        raise CheckpointError(
            f"{path} is an exported file, without trainable weights: `cspdarknet.Predictor` runs "
            "it. Load the model that it was exported from."
        )
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        return _folder(path.parent, load_weights)
    return PresetPaths(str(path), None, path)
