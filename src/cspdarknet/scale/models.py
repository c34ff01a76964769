"""The models of bulk jobs, which each worker loads by name or path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cspdarknet._image_size import ImageSize
from cspdarknet.checkpoints.published import sha256_of
from cspdarknet.inference.features import LONGER_SIDE
from cspdarknet.model_info import is_exported_file, read_model_info
from cspdarknet.presets.sources import locate
from cspdarknet.scale.tables import deepest_level


def absolute_name(model: str | Path) -> str:
    """Return the name of a model, or its absolute path: workers run in other folders.

    Raises:
        ValueError: if it is a model in memory.
    """
    if not isinstance(model, (str, Path)):
        raise ValueError(
            "`model` must be a name or a path, by which each worker loads it. Received: a "
            f"{type(model).__name__}: save or export it first."
        )
    return str(Path(model).absolute()) if Path(model).exists() else str(model)


def weights_sha256(model: str) -> str:
    """Return the SHA-256 of the file with a model's weights.

    Raises:
        ValueError: if there is no such model, or it has no weights.
    """
    if is_exported_file(model):
        path = Path(model).with_suffix(".bin") if model.endswith(".xml") else Path(model)
        if not path.is_file():
            raise ValueError(f"There is no file {path}.")
        return sha256_of(path)
    weights = locate(model).weights
    if weights is None:
        raise ValueError(
            "A bulk job needs a model with weights, as its workers would have random weights of "
            f"their own. Received: {model}: choose another model, or export this one to a file."
        )
    return sha256_of(weights)


def feature_options(
    model: str,
    levels: Sequence[str] | None,
    longer_side: int | None,
    image_size: ImageSize | None = None,
) -> dict[str, Any]:
    """Return the arguments of a `Predictor` for features: levels, sizes and batch size.

    Args:
        model: the name or path of the model.
        levels: pyramid levels; `None` for the deepest one, or those of an exported file.
        longer_side: as in `BulkJob`.
        image_size: as in `Predictor`.
    """
    if is_exported_file(model):
        info = read_model_info(model)
        is_fixed = info is not None and info.image_size is not None
    else:
        from cspdarknet.models import load_model

        backbone = load_model(model, "features")
        is_fixed = None not in backbone.inputs[0].shape[1:]
        levels = levels or [deepest_level(backbone.pyramid_level_inputs)]
    is_fixed = is_fixed or image_size is not None
    if longer_side is None:
        longer_side = 0 if is_fixed else LONGER_SIDE
    # Each image has a size of its own, and so is a batch of its own, unless the size is fixed.
    options: dict[str, Any] = {} if is_fixed else {"batch_size": 1}
    return {**options, "levels": levels, "longer_side": longer_side or None}
