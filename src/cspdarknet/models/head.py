"""Base classes of the models with a head on a backbone, whose configs hold the backbone."""

from typing import Any, Self

import keras

from cspdarknet._arguments import check_count
from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.base import PresetModel, deserialize, serialize
from cspdarknet.models.image_batches import BATCH_SIZE, CroppedImages, listed_images

POOLINGS = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
}

# Registered names of backbones whose config is one of `CSPDarkNetBackbone`.
KNOWN_BACKBONES = ("cspdarknet>CSPDarkNetBackbone", "keras_cv>CSPDarkNetBackbone")


class ModelWithHead(PresetModel):
    """Base class of models with a head on a `backbone`, which is in their config."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a model from the result of `get_config`, or from a config of KerasCV."""
        config = dict(config)
        if isinstance(config.get("backbone"), dict):
            config["backbone"] = _deserialize_backbone(config["backbone"], custom_objects)
        return cls(**config)


class PooledModel(ModelWithHead):
    """Base class of classifier and regressor, which see the center crop of an image."""

    image_size: Any
    crop: float = 1.0  # part of the side of the central square

    def predict(self, x: Any, batch_size: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for images, as `keras.Model.predict` does for batches.

        Args:
            x: batches in any form that Keras takes, of images at the size that the model is to
                see. Or one image: a path, a Pillow image, or an RGB array `(height, width, 3)` of
                0..255; or a list of them. The model then sees the central square of each image, at
                its `image_size` (224 if it has none).
            batch_size: number of images in a batch; `None` for 32.
            *args: other arguments of `keras.Model.predict`.
            **kwargs: other arguments of `keras.Model.predict`.

        Returns:
            Array of the outputs, one row for each image, also for one image.

        Raises:
            ValueError: if a file cannot be read as an image, or an array is not one.

        Example:
            >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
            >>> classifier = ImageClassifier.from_preset("csp_darknet_tiny_clothing")
            >>> classifier.predict("sea.png", verbose=0).shape
            (1, 10)
        """
        if images := listed_images(x):
            size = check_count("batch_size", BATCH_SIZE if batch_size is None else batch_size)
            x, batch_size = self._cropped(images, size), None
        return super().predict(x, batch_size, *args, **kwargs)

    def _cropped(self, images: list[Any], batch_size: int) -> CroppedImages:
        """Return batches of the center crops of images."""
        data_format = getattr(self.backbone, "data_format", "channels_last")
        fixed = self.inputs[0].shape[2]
        size = self.image_size or fixed
        return CroppedImages(images, size, batch_size, data_format, self.channels, self.crop)


def pooled_features(
    backbone: keras.Model, pooling: str, dropout: float, dtype: Any
) -> tuple[Any, Any]:
    """Return the images and the pooled features of a functional model on a backbone.

    Args:
        backbone: a model with one image input and a feature map as its output.
        pooling: a key of `POOLINGS`.
        dropout: dropout rate of the features; with 0 there is no dropout layer.
        dtype: dtype of the head.

    Returns:
        Keras tensors: the images, and the features `(batch, channels)`.
    """
    (source,) = backbone.inputs
    images = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name)
    layer = POOLINGS[pooling](
        data_format=getattr(backbone, "data_format", None), dtype=dtype, name=f"{pooling}_pool"
    )
    x = layer(backbone(images))
    if dropout:
        x = keras.layers.Dropout(dropout, dtype=dtype, name="dropout")(x)
    return images, x


def num_features(backbone: keras.Model) -> int:
    """Return the number of channels of a backbone's feature map."""
    channels_first = getattr(backbone, "data_format", None) == "channels_first"
    return backbone.outputs[0].shape[1 if channels_first else -1] or 1


def serialize_backbone(backbone: keras.Model) -> dict[str, Any]:
    """Return the config of the backbone of a model with a head, without its compilation."""
    config = serialize(backbone)
    config.pop("compile_config", None)  # the backbone is compiled with the whole model
    return config


def _deserialize_backbone(config: dict[str, Any], custom_objects: Any) -> keras.Model:
    if config.get("registered_name") in KNOWN_BACKBONES:
        return CSPDarkNetBackbone.from_config(config["config"], custom_objects)
    return deserialize(config, custom_objects)
