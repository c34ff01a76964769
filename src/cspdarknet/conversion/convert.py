"""From any weight file to a model, and from a model to any format that others read."""

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._files import write_whole
from cspdarknet.checkpoints import architecture as structure
from cspdarknet.checkpoints import formats
from cspdarknet.checkpoints import weights_h5 as keras_h5
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.loading import load_weights
from cspdarknet.checkpoints.readers import (
    keras3 as layouts,
)
from cspdarknet.checkpoints.readers import (
    safetensors as safetensors_file,
)
from cspdarknet.checkpoints.readers import (
    torch as torch_file,
)
from cspdarknet.checkpoints.readers import (
    yolox,
)
from cspdarknet.checkpoints.targets import collect
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets import sources
from cspdarknet.presets.config import CONFIG, WEIGHTS, split
from cspdarknet.presets.download import sha256_of
from cspdarknet.presets.load import split_arguments
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.save import save_preset

AnyModel = CSPDarkNetBackbone | ImageClassifier | YOLOXDetector


def load(source: str | Path, *, detector: bool | None = None, **kwargs: Any) -> AnyModel:
    """Build a backbone, a classifier or a detector from a weight file of any known format.

    The architecture is read off the file. What a file does not tell can be given: a bare
    `.weights.h5` of this package has no architecture, and files of KerasCV do not say whether
    the input is rescaled (`include_rescaling=True` is assumed).

    Args:
        source: a weight file (see `load_weights`), a `.keras` file of this package or of KerasCV, a
            preset directory, or any name that `from_preset` takes.
        detector: whether a detector is wanted of a source that holds one. `None` means yes for
            what this package saved, and no for files and presets in YOLOX's own form, of which it
            is the backbone then.
        **kwargs: constructor arguments that take the place of those read off the file.

    Returns:
        An `ImageClassifier` if the file's config is that of one, or `num_classes` is given; a
        `YOLOXDetector` as said above; otherwise a `CSPDarkNetBackbone`: of a bare weight file with
        a head, its backbone.

    Raises:
        CheckpointError: if the file is damaged, unsafe, or does not tell its architecture.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], False, padding="symmetric")
        >>> save(backbone, "my.pth")
        >>> load("my.pth").stackwise_channels
        [16, 32]
    """
    path = Path(source)
    if detector and not _is_keras_archive(path):
        return YOLOXDetector.from_preset(source, **kwargs)
    if not path.is_file():
        return _from_preset(source, detector, kwargs)
    if _is_keras_archive(path):
        return _load_keras_archive(path, detector, kwargs)
    if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
        return _from_preset(path.parent, detector, kwargs)
    with formats.opened(path) as checkpoint:
        config = checkpoint.config()
    if config is None and "stackwise_channels" not in kwargs:
        raise CheckpointError(
            f"{path} does not tell its architecture: pass stackwise_channels, stackwise_depth and "
            "include_rescaling, or put its config.json beside it."
        )
    model = _build(config or {}, detector, kwargs)
    load_weights(model, path)
    return model


def _from_preset(preset: str | Path, detector: bool | None, kwargs: dict[str, Any]) -> AnyModel:
    files = sources.find(preset, False)
    if files.is_detector and detector is not False and (detector or _is_ours(preset)):
        return YOLOXDetector.from_preset(preset, **kwargs)
    has_classes = files.head is not None and not files.is_detector
    is_classifier = "num_classes" in kwargs or has_classes
    return (ImageClassifier if is_classifier else CSPDarkNetBackbone).from_preset(preset, **kwargs)


def _is_ours(preset: str | Path) -> bool:
    """Whether a preset was written by this package, rather than being YOLOX's."""
    return str(preset) not in PRESETS or PRESETS[str(preset)].folder is not None


def _build(config: dict[str, Any], detector: bool | None, kwargs: dict[str, Any]) -> AnyModel:
    """Build a model from the config that a file tells, with `kwargs` in place of its arguments."""
    stored, head = split(config)
    if head is not None and "bounding_box_format" in head:
        own, others = split_arguments(kwargs)
        backbone = CSPDarkNetBackbone.from_config({**stored, **others})
        return backbone if detector is False else YOLOXDetector(backbone, **{**head, **own})
    if head is None and "num_classes" not in kwargs:
        return CSPDarkNetBackbone.from_config({**stored, **kwargs})
    own, others = split_arguments(kwargs)
    backbone = CSPDarkNetBackbone.from_config({**stored, **others})
    return ImageClassifier(backbone, **{**(head or {}), **own})


def _is_keras_archive(path: Path) -> bool:
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {CONFIG, WEIGHTS} <= set(archive.namelist())


def _load_keras_archive(path: Path, detector: bool | None, kwargs: dict[str, Any]) -> AnyModel:
    """Read a `.keras` file as the preset directory that it holds."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        for name in (CONFIG, WEIGHTS):
            if archive.getinfo(name).file_size > torch_file.MAX_BYTES:
                raise CheckpointError(f"{path} claims to hold too large a {name}: refused.")
            archive.extract(name, folder)
        return _from_preset(folder, detector, kwargs)


def _write_torch(model: Any, path: Path) -> None:
    """Write YOLOX's names and layouts, with the counters that PyTorch expects."""
    if structure.parts(model)[1]:
        raise ValueError(
            "A .pth file of YOLOX has no place for a classifier's head: save `model.backbone` "
            "alone, or the classifier as .safetensors, .keras or a preset directory."
        )
    if structure.parts(model)[0].padding != "symmetric":
        raise ValueError(
            "YOLOX pads symmetrically: weights of a model with padding='same' give other numbers "
            "there. Build the model with padding='symmetric'."
        )
    tensors = {}
    before = yolox.BACKBONE if structure.is_detector(model) else ""
    for name, array in collect(yolox.layout(model, before)).items():
        tensors[name] = array
        if name.endswith(".running_var"):
            counter = name.removesuffix(".running_var") + yolox.COUNTER
            tensors[counter] = np.zeros((), "int64")
    torch_file.write_torch(path, tensors)


def _write_safetensors(model: Any, path: Path) -> None:
    safetensors_file.write(path, collect(layouts.by_variable_path(model)), model.get_config())


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    ".pth": _write_torch,
    ".safetensors": _write_safetensors,
    ".h5": keras_h5.write,
    ".keras": lambda model, path: model.save(path),
}


def save(model: Any, destination: str | Path, source: dict[str, Any] | None = None) -> None:
    """Write a model in the format that the destination's suffix names.

    Args:
        model: a `CSPDarkNetBackbone`, or an `ImageClassifier` or `YOLOXDetector` with one.
        destination: `.safetensors`, `.keras`, `.weights.h5`, `.pth` (a state dict of YOLOX, or of
            its CSPDarknet for a backbone), or a path without suffix for a preset directory. The
            file appears whole or not at all.
        source: where the weights come from, for the metadata of a preset directory.

    Raises:
        ValueError: if the suffix is unknown, or the format cannot hold the model.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)
        >>> save(backbone, "my.safetensors")
    """
    structure.parts(model)
    path = Path(destination)
    if not path.suffix or path.is_dir():
        save_preset(model, path, source)
        return
    if path.suffix not in WRITERS:
        raise ValueError(
            f"Unknown format {path.suffix!r} of {path}: expected {', '.join(WRITERS)}, or no "
            "suffix for a preset directory."
        )
    if path.suffix == ".h5" and not path.name.endswith(".weights.h5"):
        raise ValueError(f"The name of a Keras weight file ends in .weights.h5; found {path}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: WRITERS[path.suffix](model, part))


def describe(source: str | Path) -> dict[str, Any]:
    """Return what is known of a weight file's origin: name, format, license and SHA-256."""
    path = Path(source)
    if path.is_dir():
        path = path / WEIGHTS
    if not path.is_file():
        preset = PRESETS.get(str(source))
        return {"name": str(source), "license": preset.license if preset else "unknown"}
    if _is_keras_archive(path):
        kind = ".keras"
    else:
        with formats.opened(path) as checkpoint:
            kind = checkpoint.kind
    license = "Apache-2.0" if kind.startswith(("YOLOX", "ONNX")) else "unknown"
    return {"name": path.name, "format": kind, "license": license, "sha256": sha256_of(path)}
