"""`PresetModel`: base class of the models that are loaded from presets and saved as presets."""

import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import keras

from cspdarknet.presets import records
from cspdarknet.presets.save import save_preset
from cspdarknet.presets.upload import upload_preset

T = TypeVar("T")

DOC_WIDTH = 96  # characters of a line in a docstring


class classproperty(Generic[T]):  # noqa: N801  (named as `property` is)
    """Read-only property of a class, such as `CSPDarkNetBackbone.presets`."""

    def __init__(self, getter: Callable[[Any], T]) -> None:
        self.getter = getter
        self.__doc__ = getter.__doc__

    def __get__(self, instance: Any, owner: type) -> T:
        return self.getter(owner)


class PresetModel(keras.Model):
    """A Keras model that `from_preset` of its class loads and `save_to_preset` saves.

    Attributes:
        task: `"features"`, `"classification"` or `"detection"`.
    """

    task = "features"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """List the names of the class's presets in the docstring of its `from_preset`."""
        super().__init_subclass__(**kwargs)
        method = cls.__dict__.get("from_preset")
        if method is not None and method.__func__.__doc__:  # there is none under `python -OO`
            doc = _list_presets(method.__func__.__doc__, "{presets}", cls.presets)
            doc = _list_presets(doc, "{presets_with_weights}", cls.presets_with_weights)
            method.__func__.__doc__ = doc

    @classproperty
    def presets(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The built-in presets that this class loads without `num_classes`, by name.

        A backbone is loaded from every preset. Each entry has the description, the number of
        parameters of the backbone, the task and the sources of the weights.
        """
        return records.describe(
            {n: p for n, p in records.PRESETS.items() if cls.task in ("features", p.task)}
        )

    @classproperty
    def presets_with_weights(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The presets with trained weights."""
        return {name: entry for name, entry in cls.presets.items() if entry["has_weights"]}

    @classproperty
    def presets_without_weights(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The presets that are an architecture only."""
        return {name: entry for name, entry in cls.presets.items() if not entry["has_weights"]}

    def save_to_preset(self, directory: str | Path, push_to: str | None = None) -> None:
        """Write a preset folder, which `from_preset` loads: config, weights and metadata.

        A new folder is written atomically. In a folder that holds a preset, each of its files is
        replaced atomically; other files there are kept.

        Args:
            directory: where to write `config.json`, `model.weights.h5` and `metadata.json`.
            push_to: `"kaggle://..."` or `"hf://..."` to publish it there too, with a model card.

        Raises:
            ValueError: if the folder exists and holds something other than a preset, or this
                is a classifier whose backbone is not a `CSPDarkNetBackbone`.

        Example:
            >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
            >>> backbone.save_to_preset("my_backbone")
            >>> restored = CSPDarkNetBackbone.from_preset("my_backbone")
        """
        save_preset(self, directory)
        if push_to is not None:
            upload_preset(push_to, directory)


def _list_presets(doc: str, placeholder: str, presets: Iterable[str]) -> str:
    """Replace a placeholder, which begins a line of a docstring, by the names of presets."""
    names = ", ".join(f'`"{name}"`' for name in presets)

    def lines(match: re.Match[str]) -> str:
        indent, rest = match.groups()
        return textwrap.fill(
            names + rest, DOC_WIDTH, initial_indent=indent, subsequent_indent=indent
        )

    return re.sub(rf"^( *){re.escape(placeholder)}(.*)$", lines, doc, flags=re.MULTILINE)
