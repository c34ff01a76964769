"""`identify`: what a weight file is."""

from dataclasses import replace
from math import prod
from pathlib import Path

from cspdarknet._labels import DESCRIPTIONS
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.input_conventions import BGR, NORMALIZED, RGB, likely_convention
from cspdarknet.checkpoints.published import license_of, published_name, sha256_of
from cspdarknet.checkpoints.weight_file import ForeignFileError, WeightFile
from cspdarknet.model_info import is_exported_file

OWN_FAMILY, OTHER_FAMILIES = "cspdarknet", ("YOLOX", "KerasCV", "timm")
STEM_SIZE = (6, 6)  # of the kernel with which each model of this package begins
OTHER_KERAS = "a Keras weight file of another network"
KERAS_REMEDY = "build its model with the code that wrote it, and load the file with Keras"


def identify(path: str | Path, *, sha256: bool = False) -> WeightFile:
    """Say what a weight file is, without building a model.

    Args:
        path: the file.
        sha256: whether to compute the SHA-256, by which published files and their license are
            known.

    Returns:
        What its content tells: the family and version of the software, format, task, classes, image
        size, input convention, activation, number of parameters. For a file that `load_model` does
        not load, the `remedy` says what would make it loadable, or what to use instead.

    Raises:
        CheckpointError: if there is no such file.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)
        >>> conversion.save(backbone, "my.safetensors")
        >>> file = checkpoints.identify("my.safetensors")
        >>> file.family, file.task, file.input_convention
        ('cspdarknet', 'features', 'rgb')
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"There is no weight file {path}.")
    file = _exported(path) if is_exported_file(path) else _read(path)
    if not sha256 or not path.is_file():
        return file
    digest = sha256_of(path)
    name = published_name(digest)
    notes = file.notes if name is None else (f"the published file {name}", *file.notes)
    return replace(file, sha256=digest, license=license_of(digest), notes=notes)


def describe(checkpoint: Checkpoint, config: ModelConfig) -> WeightFile:
    """Say what an open weight file is.

    Args:
        checkpoint: the file.
        config: constructor arguments of its model.
    """
    family = next((name for name in OTHER_FAMILIES if name in checkpoint.format), OWN_FAMILY)
    file = replace(
        describe_config(checkpoint.path, config),
        description=f"a model of {family}",
        family=family,
        format=checkpoint.format,
        num_parameters=sum(map(prod, checkpoint.shapes.values())),
    )
    file = replace(file, notes=(*checkpoint.notes, *file.notes))
    if checkpoint.read_as is not None:
        return _describe_yolox(file, checkpoint, config)
    has_stem = any(shape[:2] == STEM_SIZE for shape in checkpoint.shapes.values())
    if not config.backbone and not has_stem:
        return replace(file, description=OTHER_KERAS, family="Keras", remedy=KERAS_REMEDY, notes=())
    return file


def describe_config(path: Path, config: ModelConfig) -> WeightFile:
    """Say what a model with these constructor arguments is.

    Args:
        path: its file, or its name.
        config: the arguments; those of the backbone are empty where they are unknown.
    """
    head = config.head or {}
    names, size = head.get("class_names"), head.get("image_size")
    return WeightFile(
        path=path,
        description="a model of this package or of KerasCV",
        family=OWN_FAMILY,
        task=config.task if config.backbone else None,
        num_classes=head.get("num_classes"),
        targets=None if head.get("targets") is None else tuple(head["targets"]),
        class_names=None if names is None else tuple(names),
        image_size=tuple(size) if isinstance(size, list) else size,
        channels=_channels(config),
        input_convention=_input_convention(config),
        activation=config.backbone.get("activation", "silu") if config.backbone else None,
        notes=tuple(_notes(config)),
    )


def _channels(config: ModelConfig) -> int | None:
    """Return the number of channels that a config states."""
    shape = config.backbone.get("input_shape")
    if not isinstance(shape, (list, tuple)) or len(shape) != 3:
        return None
    return shape[0 if config.backbone.get("data_format") == "channels_first" else -1]


def _input_convention(config: ModelConfig) -> str | None:
    """Return the convention that a config states; `None` where it depends on the user."""
    if config.backbone.get("mean") is not None:
        return NORMALIZED
    return RGB if config.backbone.get("include_rescaling") else None


def _notes(config: ModelConfig) -> list[str]:
    notes = []
    if not config.backbone:
        notes.append(
            "it does not hold its architecture: put its config.json beside it, or pass "
            "stackwise_channels, stackwise_depth and include_rescaling"
        )
    if "include_rescaling" in config.assumed:
        notes.append("it does not state include_rescaling: True is assumed, as in KerasCV's models")
    if "mean" in config.assumed:
        notes.append("it does not state mean and std: timm's are assumed; pass others")
    has_classes = config.head is not None and config.task != "regression"
    if has_classes and (config.head or {}).get("class_names") is None:
        notes.append("it has no class names: pass class_names")
    if kind := DESCRIPTIONS.get(str((config.head or {}).get("labels"))):
        notes.append(f"it is for {kind}")
    if (pyramid := config.pyramid) is not None and not pyramid.is_yolox:
        notes.append(f"it predicts on the levels {', '.join(pyramid.levels)}")
    return notes


def _describe_yolox(file: WeightFile, checkpoint: Checkpoint, config: ModelConfig) -> WeightFile:
    """Add what the stem tells of the input, and what the file does not state."""
    magnitude = checkpoint.stem_magnitude
    notes = []
    if "activation" in config.assumed:
        notes.append("it does not state its activation: SiLU is assumed; pass activation if not")
    if "class_names" in config.assumed:
        notes.append("it does not hold its class names: those of COCO are assumed for 80 classes")
    convention, version = checkpoint.input_convention, None
    if magnitude is not None and convention is None:
        convention = likely_convention(magnitude)
        version = "0.1.1 or later, or trained from it"
    if convention == NORMALIZED:
        version = "0.0.1, or a re-implementation"
        notes.append("its stem looks like one of normalized images: pass input_convention")
    return replace(
        file,
        version=version,
        input_convention=convention or BGR,
        stem_magnitude=magnitude,
        notes=(*file.notes, *notes),
    )


def _exported(path: Path) -> WeightFile:
    return WeightFile(
        path=path,
        description="a file that `cspdarknet export` wrote",
        family="cspdarknet",
        format="OpenVINO" if path.suffix == ".xml" else "ONNX",
        remedy="`cspdarknet.Predictor` runs it; load the model that it was exported from",
    )


def _read(path: Path) -> WeightFile:
    try:
        with open_checkpoint(path) as checkpoint:
            return describe(checkpoint, checkpoint.config())
    except ForeignFileError as error:
        return error.file
    except (CheckpointError, ImportError) as error:
        reason = str(error).removeprefix(f"{path} ").rstrip(".")
        return WeightFile(path=path, description="a file that cannot be loaded", remedy=reason)
