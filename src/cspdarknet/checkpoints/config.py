"""Constructor arguments of a model, read from an untrusted weight file or `config.json`."""

import json
from dataclasses import dataclass
from typing import Any, Self

from cspdarknet.checkpoints.config_objects import check_objects
from cspdarknet.checkpoints.errors import CheckpointError, shown
from cspdarknet.checkpoints.limits import MAX_CONFIG_BYTES
from cspdarknet.checkpoints.model_size import architecture_of
from cspdarknet.yolox.levels import Pyramid

BACKBONE, CLASSIFIER, DETECTOR = "CSPDarkNetBackbone", "ImageClassifier", "YOLOXDetector"
REGRESSOR = "ImageRegressor"


@dataclass(frozen=True)
class ModelConfig:
    """Constructor arguments of a backbone, and of the head on it.

    Attributes:
        backbone: arguments of `CSPDarkNetBackbone`; empty where the file does not state them.
        head: arguments of `ImageClassifier`, `ImageRegressor` or `YOLOXDetector` except for
            `backbone`; `None` for a backbone alone.
        assumed: names of arguments that the file does not state, set to the usual value.
    """

    backbone: dict[str, Any]
    head: dict[str, Any] | None = None
    assumed: frozenset[str] = frozenset()

    @property
    def task(self) -> str:
        """The task of the model, one of `cspdarknet.model_info.TASKS`."""
        if self.head is None:
            return "features"
        if "targets" in self.head:
            return "regression"
        return "detection" if "bounding_box_format" in self.head else "classification"

    @property
    def pyramid(self) -> Pyramid | None:
        """The levels of a detector; `None` for another model, or if the config is malformed."""
        if self.task != "detection" or self.head is None:
            return None
        try:
            stages = len(architecture_of(self.backbone).pyramid_channels)
            return Pyramid.of(self.head.get("levels"), stages)
        except (ValueError, TypeError, LookupError):
            return None

    @classmethod
    def from_arguments(cls, arguments: dict[str, Any]) -> Self:
        """Split the result of a model's `get_config` into backbone and head.

        Raises:
            CheckpointError: if the backbone is not a `CSPDarkNetBackbone`, or an object in the
                config is of a class that plain models do not need.
        """
        if "backbone" not in arguments:
            check_objects(arguments)
            return cls(arguments)
        head = dict(arguments)
        backbone = head.pop("backbone")
        config = backbone.get("config") if isinstance(backbone, dict) else None
        if not isinstance(config, dict) or backbone.get("class_name") != BACKBONE:
            raise CheckpointError(
                f"The backbone of a model must be a {BACKBONE}. Received: {shown(backbone)}"
            )
        check_objects({**config, "head": head})
        return cls(config, head)


def parse_config(text: bytes, origin: str) -> dict[str, Any]:
    """Parse the `config.json` of a model of this package or of KerasCV.

    Args:
        text: content of the file.
        origin: name of the file, for error messages.

    Returns:
        The content: a dict with `"class_name"` and `"config"`.

    Raises:
        CheckpointError: if it is not valid JSON, or the config of another class.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise CheckpointError(
            f"{origin} has {len(text)} bytes, too many for the config of a model."
        )
    try:
        config = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"{origin} is not valid JSON: {error}") from error
    arguments = config.get("config") if isinstance(config, dict) else None
    if not isinstance(arguments, dict):
        raise CheckpointError(f"{origin} is not the config of a model: it has no 'config' entry.")
    accepted = (CLASSIFIER, REGRESSOR, DETECTOR) if "backbone" in arguments else (BACKBONE,)
    if config.get("class_name") not in accepted:
        raise CheckpointError(
            f"{origin} must describe a {BACKBONE}, or an {CLASSIFIER}, {REGRESSOR} or {DETECTOR} "
            f"with a backbone. Received: a {shown(config.get('class_name'))}"
        )
    return config
