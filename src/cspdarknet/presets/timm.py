"""Models in the form in which timm publishes them: a repository with timm's own `config.json`."""

import json
import re
from pathlib import Path
from typing import Any

from cspdarknet._arguments import check_crop, is_number
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError, shown
from cspdarknet.checkpoints.limits import MAX_CONFIG_BYTES
from cspdarknet.checkpoints.readers.timm_config import head_arguments
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.sizes import TIMM_SIZES

TIMM_NAMES = tuple(row[0] for row in TIMM_SIZES)
# Names of timm's trainings end so; the other networks of its `cspnet.py` begin so.
_TAG = re.compile(r"\.[a-z0-9_]*_in(1k|12k|21k|22k)(_|$)")
_RELATIVES = ("cspres", "darknet17", "darknet21", "sedarknet21", "cs3sedarknet_xdw")
_FAMILY = f"timm's models of this family are {', '.join(TIMM_NAMES)}"


def explain_timm(name: str) -> str:
    """Return a sentence about an unknown name that is one of timm, or an empty text."""
    plain = name.removeprefix("timm/")
    if plain in PRESETS:
        return f"Leave out 'timm/': the preset is {plain!r}. "
    architecture, _, tag = plain.partition(".")
    if architecture in TIMM_NAMES:
        tags = [preset for preset in PRESETS if preset.startswith(f"{architecture}.")]
        known = f"the weights that are known are {', '.join(tags)}" if tags else "it has no weights"
        return f"timm's model {architecture!r} has no weights {tag!r}: {known}. "
    if _TAG.search(plain) or plain.startswith(_RELATIVES):
        return f"This model of timm is not a CSPDarkNet: {_FAMILY}. "
    return ""


def read_timm_config(path: Path) -> ModelConfig | None:
    """Read the `config.json` of a model of timm; return `None` for a config of another kind.

    Args:
        path: the file.

    Raises:
        CheckpointError: if it is a model of timm of another family, or malformed.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_CONFIG_BYTES + 1))
    except (OSError, ValueError, RecursionError):
        return None  # reported where the file is read as a config of this package
    if not isinstance(document, dict) or "architecture" not in document:
        return None
    name = document["architecture"]
    if name not in TIMM_NAMES:
        raise CheckpointError(
            f"{path.parent} holds timm's model {shown(name)}, which is not a CSPDarkNet: {_FAMILY}."
        )
    facts = document.get("pretrained_cfg")
    return _config(str(path), document, facts if isinstance(facts, dict) else {})


def _config(origin: str, document: dict[str, Any], facts: dict[str, Any]) -> ModelConfig:
    backbone = PRESETS[document["architecture"]].config().backbone
    for key in ("mean", "std"):
        values = facts.get(key, backbone[key])
        if not isinstance(values, list) or not all(map(is_number, values)):
            raise CheckpointError(f"{origin} is malformed: {key!r} is {shown(values)}.")
        backbone[key] = values
    num_classes = document.get("num_classes", facts.get("num_classes"))
    if not num_classes:
        return ModelConfig(backbone)
    size = facts.get("test_input_size") or facts.get("input_size") or [0, 256, 256]
    side = _image_size(size)
    try:
        crop = check_crop(facts.get("test_crop_pct") or facts.get("crop_pct") or 1.0)
    except ValueError as error:
        raise CheckpointError(f"{origin} is malformed: {error}") from error
    head = head_arguments(num_classes, side, crop)
    if "label_names" in document:
        head["class_names"] = document["label_names"]
    return ModelConfig(backbone, head)


def _image_size(size: Any) -> Any:
    """Return the side of square test images, or their height and width."""
    if not isinstance(size, list) or not size:
        return None
    return size[-1] if len(size) < 2 or size[-2] == size[-1] else size[-2:]
