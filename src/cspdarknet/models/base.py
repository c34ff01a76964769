"""`PresetModel`: base class of the models that are loaded from presets and saved as presets."""

import copy
import json
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import keras

from cspdarknet.checkpoints.layer_forms import check_not_quantized
from cspdarknet.models.image_batches import listed_images
from cspdarknet.models.steps import make_step
from cspdarknet.presets.listing import PresetDict, describe
from cspdarknet.presets.records import PRESETS
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
    inputs: Any
    _program: Any = None  # on PyTorch, made at the first call

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the outputs of the graph; on PyTorch, its own functions compute them."""
        if keras.backend.backend() != "torch" or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        if self._program is None:
            from cspdarknet.models.torch.program import TorchProgram

            backbone = getattr(self, "backbone", self)
            data_format = getattr(backbone, "data_format", keras.config.image_data_format())
            self._program = TorchProgram(self, data_format)
        return self._program(self._standardize_inputs(inputs), bool(training))

    @property
    def channels(self) -> int:
        """Number of channels of the images."""
        backbone = getattr(self, "backbone", self)
        axis = 1 if getattr(backbone, "data_format", None) == "channels_first" else -1
        return int(self.inputs[0].shape[axis])

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
        return describe({n: p for n, p in PRESETS.items() if cls.task in ("features", p.task)})

    @classproperty
    def presets_with_weights(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The presets with trained weights."""
        return PresetDict((name, e) for name, e in cls.presets.items() if e["has_weights"])

    @classproperty
    def presets_without_weights(cls) -> dict[str, dict[str, Any]]:  # noqa: N805
        """The presets that are an architecture only."""
        return PresetDict((name, e) for name, e in cls.presets.items() if not e["has_weights"])

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for batches, as `keras.Model.predict` does.

        Raises:
            ValueError: if `x` is an image or a list of images, and not a batch.
        """
        if x is not None and listed_images(x):
            raise ValueError(
                "`x` must be a batch of images (n, height, width, 3), or an iterable of such "
                "batches. Received: single images: add an axis to an array (`image[None]`), or "
                "call a `cspdarknet.Predictor` of this model with files and images of any size."
            )
        return super().predict(x, *args, **kwargs)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Train with one batch; on PyTorch, with its fused kernels."""
        if keras.backend.backend() != "torch":
            return super().train_step(*args, **kwargs)
        from cspdarknet.models.torch.train_step import train_step

        return train_step(self, *args, **kwargs)

    def _symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        # Keras walks through all layers before each `train_on_batch`, also when all are built.
        parts = (self.optimizer, self._compile_metrics, self._compile_loss)
        if not all(part is None or part.built for part in parts):
            super()._symbolic_build(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        """Make the step of `fit`."""
        return make_step(self, "train_function", super().make_train_function, force)

    def make_test_function(self, force: bool = False) -> Any:
        """Make the step of `evaluate`."""
        return make_step(self, "test_function", super().make_test_function, force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Make the step of `predict`."""
        return make_step(self, "predict_function", super().make_predict_function, force)

    def save(self, filepath: str | Path, *args: Any, **kwargs: Any) -> None:
        """Write a `.keras` file, as `keras.Model.save` does.

        Raises:
            ValueError: if the model was quantized. A file that exists is kept then.
        """
        check_not_quantized(self)
        super().save(filepath, *args, **kwargs)

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


def serialize(layer: Any) -> dict[str, Any]:
    """Return the config of a layer or model that is in the config of another."""
    # Through JSON, so that a config read from a file equals the one that was written.
    return dict(json.loads(json.dumps(keras.saving.serialize_keras_object(layer))))


def deserialize(config: dict[str, Any], custom_objects: Any) -> Any:
    """Return a new layer or model from the result of `serialize`."""
    config = copy.deepcopy(config)  # Keras empties what it deserializes
    return keras.saving.deserialize_keras_object(config, custom_objects=custom_objects)


def _list_presets(doc: str, placeholder: str, presets: Iterable[str]) -> str:
    """Replace a placeholder, which begins a line of a docstring, by the names of presets."""
    names = ", ".join(f'`"{name}"`' for name in presets)

    def lines(match: re.Match[str]) -> str:
        indent, rest = match.groups()
        return textwrap.fill(
            names + rest, DOC_WIDTH, initial_indent=indent, subsequent_indent=indent
        )

    return re.sub(rf"^( *){re.escape(placeholder)}(.*)$", lines, doc, flags=re.MULTILINE)
