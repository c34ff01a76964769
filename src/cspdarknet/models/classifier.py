"""`ImageClassifier`: a backbone, global pooling and one dense layer."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras

from cspdarknet.models import arguments
from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.base import PresetModel
from cspdarknet.models.head_arguments import (
    MAX_CLASSES,
    MAX_PIXELS,
    check_activation,
    check_backbone,
    check_class_names,
    check_count,
    check_dropout,
)
from cspdarknet.presets import load as preset_loading

POOLINGS = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
}
KNOWN_BACKBONES = ("cspdarknet>CSPDarkNetBackbone", "keras_cv>CSPDarkNetBackbone")


@keras.saving.register_keras_serializable(package="cspdarknet")
class ImageClassifier(PresetModel):
    """A classifier of images: a backbone, global pooling and one dense layer.

    Its layers are those of `keras_cv.models.ImageClassifier`: the backbone as one layer,
    `avg_pool` or `max_pool`, and `predictions`. Images of any size are accepted if the
    backbone accepts them.

    Args:
        backbone: a `CSPDarkNetBackbone`, or another model with one image input and a feature map
            as its output. It's shared, not copied: freeze parts of it with
            `classifier.backbone.freeze(...)`.
        num_classes: int, number of classes.
        pooling: `"avg"` or `"max"`: how a feature map becomes one vector.
        activation: name of the activation of the last layer, or a function of
            `keras.activations`; `None` for logits.
        dropout: float in 0..1, the share of the vector that is dropped in training; with 0 there
            is no such layer.
        class_names: optional names of the classes, in the order of the outputs.
        image_size: optional int, the side in pixels of the images that it was trained on: a hint
            for those who prepare images, the model takes any size.
        dtype: dtype or dtype policy of the head; `None` for the backbone's. The head computes in
            float32 at least, so that probabilities are exact under mixed precision too.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: if an argument is not of the form above.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> classifier = ImageClassifier(backbone, num_classes=3, class_names=["cat", "dog", "owl"])
        >>> classifier.predict(np.ones((1, 64, 64, 3)), verbose=0).shape
        (1, 3)
    """

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int,
        pooling: str = "avg",
        activation: Any = "softmax",
        *,
        dropout: float = 0.0,
        class_names: Sequence[str] | None = None,
        image_size: int | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if unknown := sorted(set(kwargs) - {"name", "trainable"}):
            raise ValueError(f"Unrecognized keyword arguments: {', '.join(unknown)}")
        check_backbone(backbone)
        num_classes = check_count("num_classes", num_classes, MAX_CLASSES)
        if not isinstance(pooling, str) or pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be 'avg' or 'max'. Received: pooling={pooling!r}")
        activation = check_activation(activation)
        dropout = check_dropout(dropout)
        class_names = check_class_names(class_names, num_classes)
        if image_size is not None:
            image_size = check_count("image_size", image_size, MAX_PIXELS)
        trainable = arguments.check_bool("trainable", kwargs.pop("trainable", True))
        policy = backbone.dtype_policy if dtype is None else arguments.check_dtype(dtype)

        # Functional model.
        wide = "float64" if policy.compute_dtype == "float64" else "float32"
        (source,) = backbone.inputs
        images = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name)
        x = POOLINGS[pooling](
            data_format=getattr(backbone, "data_format", None), dtype=wide, name=f"{pooling}_pool"
        )(backbone(images))
        if dropout:
            x = keras.layers.Dropout(dropout, dtype=wide, name="dropout")(x)
        x = keras.layers.Dense(num_classes, activation, dtype=wide, name="predictions")(x)
        super().__init__(inputs=images, outputs=x, **kwargs)

        # Config.
        self.backbone = backbone
        self.num_classes = num_classes
        self.pooling = pooling
        self.activation = activation
        self.dropout = dropout
        self.class_names = class_names
        self.image_size = image_size
        self.dtype_policy = policy
        if not trainable:
            self.trainable = False

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this model, as plain JSON types."""
        # Through JSON, so that a config read from a file equals the one that was written.
        backbone = json.loads(json.dumps(keras.saving.serialize_keras_object(self.backbone)))
        backbone.pop("compile_config", None)  # the backbone is a part, it trains with the whole
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": backbone,
            "num_classes": self.num_classes,
            "pooling": self.pooling,
            "activation": self.activation,
            "dropout": self.dropout,
            "class_names": None if self.class_names is None else list(self.class_names),
            "image_size": self.image_size,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a model from what `get_config` returned (KerasCV's configs are accepted too)."""
        config = dict(config)
        if isinstance(config.get("backbone"), dict):
            config["backbone"] = _deserialized(config["backbone"], custom_objects)
        return cls(**config)

    # Presets.

    @classmethod
    def from_preset(
        cls,
        preset: str | Path,
        load_weights: bool | None = None,
        input_shape: tuple[int | None, ...] | None = None,
        **kwargs: Any,
    ) -> "ImageClassifier":
        """Build a classifier from the preset of a classifier or of a backbone.

        Of a classifier's preset all weights are loaded, unless `num_classes` or `class_names` are
        others than the preset's. Then, and of a backbone's preset, the backbone's weights are
        loaded and the head is a new one, to be trained.

        Args:
            preset: one of `ImageClassifier.presets`; a local directory written by `save_to_preset`
                or by KerasCV; `"kaggle://owner/model/framework/variation"`; or
                `"hf://owner/repository"`.
            load_weights: whether to load the trained weights. `None` loads them where the preset
                has some.
            input_shape: optional shape of the images, `None` for the preset's.
            **kwargs: arguments of `ImageClassifier` and of `CSPDarkNetBackbone` that take the place
                of the preset's. `num_classes` is required for a backbone's preset. `dtype`
                holds for both parts, `name` and `trainable` for the whole. Those that change
                what the weights mean are refused when weights are loaded.

        Returns:
            An `ImageClassifier`.

        Raises:
            ValueError: if the preset is unknown, has no weights though `load_weights=True`, its
                weights do not fit its config, or `num_classes` is missing.
            ConnectionError: if files must be fetched and cannot be.

        Example:
            >>> classifier = ImageClassifier.from_preset("csp_darknet_tiny", num_classes=10)
            >>> classifier.count_params()
            2384266
        """
        if input_shape is not None:
            kwargs["input_shape"] = input_shape
        return preset_loading.build_classifier(
            ImageClassifier, CSPDarkNetBackbone, preset, load_weights, kwargs
        )


def _deserialized(backbone: dict[str, Any], custom_objects: Any) -> keras.Model:
    if backbone.get("registered_name") in KNOWN_BACKBONES:
        return CSPDarkNetBackbone.from_config(backbone["config"], custom_objects)
    backbone = copy.deepcopy(backbone)  # Keras empties what it deserializes
    return keras.saving.deserialize_keras_object(backbone, custom_objects=custom_objects)
