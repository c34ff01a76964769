"""`ModelWithHead`: base class of classifier and detector, whose configs hold a backbone."""

from typing import Any, Self

import keras

from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.base import PresetModel, deserialize, serialize

# Registered names of backbones whose config is one of `CSPDarkNetBackbone`.
KNOWN_BACKBONES = ("cspdarknet>CSPDarkNetBackbone", "keras_cv>CSPDarkNetBackbone")


class ModelWithHead(PresetModel):
    """Base class of classifier and detector: a head on a `backbone`, which is in their config."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a model from the result of `get_config`, or from a config of KerasCV."""
        config = dict(config)
        if isinstance(config.get("backbone"), dict):
            config["backbone"] = _deserialize_backbone(config["backbone"], custom_objects)
        return cls(**config)


def serialize_backbone(backbone: keras.Model) -> dict[str, Any]:
    """Return the config of a classifier's or detector's backbone, without its compilation."""
    config = serialize(backbone)
    config.pop("compile_config", None)  # the backbone is compiled with the whole model
    return config


def _deserialize_backbone(config: dict[str, Any], custom_objects: Any) -> keras.Model:
    if config.get("registered_name") in KNOWN_BACKBONES:
        return CSPDarkNetBackbone.from_config(config["config"], custom_objects)
    return deserialize(config, custom_objects)
