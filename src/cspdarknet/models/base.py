"""What the models of this package share: the built-in presets, and saving as a preset."""

from pathlib import Path
from typing import Any

import keras

from cspdarknet.models.classproperty import classproperty
from cspdarknet.presets import records
from cspdarknet.presets.save import save_preset
from cspdarknet.presets.upload import upload_preset


class PresetModel(keras.Model):
    """A model that can be saved as a preset directory; `from_preset` of its class reads it."""

    @classproperty
    def presets(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """All built-in presets: description, parameter count of the backbone and source by name.

        Those with `has_head` are classifiers or detectors, the others backbones.
        """
        return records.describe(records.PRESETS)

    @classproperty
    def presets_with_weights(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The built-in presets that bring trained weights."""
        return {name: entry for name, entry in cls.presets.items() if entry["has_weights"]}

    @classproperty
    def presets_without_weights(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The built-in presets that are an architecture only."""
        return {name: entry for name, entry in cls.presets.items() if not entry["has_weights"]}

    def save_to_preset(self, directory: str | Path, push_to: str | None = None) -> None:
        """Write a directory that `from_preset` reads: config, weights and metadata.

        A new directory appears whole or not at all. In a directory that holds a preset, its files
        are replaced, each of them whole; other files there are kept.

        Args:
            directory: where to write `config.json`, `model.weights.h5` and `metadata.json`.
            push_to: `"kaggle://..."` or `"hf://..."` to publish it there too, with a model card.

        Raises:
            ValueError: if the directory exists and holds something other than a preset, or this
                is a classifier whose backbone is not a `CSPDarkNetBackbone`.

        Example:
            >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
            >>> backbone.save_to_preset("my_backbone")
            >>> restored = CSPDarkNetBackbone.from_preset("my_backbone")
        """
        save_preset(self, directory)
        if push_to is not None:
            upload_preset(push_to, directory)
