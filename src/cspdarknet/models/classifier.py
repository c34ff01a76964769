"""`ImageClassifier`: a backbone, global pooling and one dense layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras

from cspdarknet._arguments import (
    MAX_CLASSES,
    check_choice,
    check_count,
    check_fraction,
    check_temperature,
)
from cspdarknet._image_size import ImageSize, to_json
from cspdarknet.checkpoints.layer_forms import check_not_quantized
from cspdarknet.checkpoints.model_size import classifier_head_size
from cspdarknet.layers import float32_or_wider
from cspdarknet.models import arguments
from cspdarknet.models.head import ModelWithHead, serialize_backbone
from cspdarknet.models.image_batches import BATCH_SIZE, CroppedImages, listed_images
from cspdarknet.presets.load import build
from cspdarknet.presets.sources import find

POOLINGS = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
}


@keras.saving.register_keras_serializable(package="cspdarknet")
class ImageClassifier(ModelWithHead):
    """An image classifier: a backbone, global pooling and one dense layer.

    Its layers are those of `keras_cv.models.ImageClassifier`: the backbone as one layer,
    `avg_pool` or `max_pool`, and `predictions`. Images of any size are accepted if the
    backbone accepts them.

    Args:
        backbone: a `CSPDarkNetBackbone`, or another model with one image input and a feature map
            as its output. It is shared, not copied: freeze stages of it with
            `classifier.backbone.freeze(...)`.
        num_classes: int, number of classes.
        pooling: `"avg"` or `"max"`, the kind of global pooling.
        activation: name of the activation of the last layer, or a function of
            `keras.activations`; `None` for logits.
        dropout: float, dropout rate before the dense layer, at least 0 and less than 1. With 0
            there is no dropout layer.
        class_names: optional names of the classes, in the order of the outputs.
        image_size: optional side in pixels of the images that it was trained on, or a pair (height,
            width). It is metadata for preprocessing; the model takes any size.
        temperature: number that the logits are divided by before the activation, so that the
            probabilities agree with the accuracy (calibration); the order of the classes does not
            change. `cspdarknet evaluate --calibrate` finds it. It is for inference: a training of
            this package starts without it.
        dtype: dtype or dtype policy of the head; `None` for the backbone's. The head computes in
            float32 or float64, so that probabilities are exact under mixed precision, too.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: if an argument is of another type or out of range.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> classifier = ImageClassifier(backbone, num_classes=3, class_names=["cat", "dog", "owl"])
        >>> classifier.predict(np.ones((1, 64, 64, 3)), verbose=0).shape
        (1, 3)
    """

    task = "classification"

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int,
        pooling: str = "avg",
        activation: Any = "softmax",
        *,
        dropout: float = 0.0,
        class_names: Sequence[str] | None = None,
        image_size: ImageSize | None = None,
        temperature: float = 1.0,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        trainable = arguments.pop_trainable(kwargs)
        arguments.check_backbone(backbone)
        num_classes = check_count("num_classes", num_classes, most=MAX_CLASSES)
        check_choice("pooling", pooling, tuple(POOLINGS))
        activation = arguments.check_activation(activation)
        dropout = check_fraction("dropout", dropout, below_one=True)
        class_names = arguments.check_class_names(class_names, num_classes)
        if image_size is not None:
            image_size = arguments.check_image_size(image_size)
        temperature = check_temperature(temperature)
        policy = backbone.dtype_policy if dtype is None else arguments.check_dtype(dtype)

        channels_first = getattr(backbone, "data_format", None) == "channels_first"
        features = backbone.outputs[0].shape[1 if channels_first else -1] or 1
        arguments.check_size(classifier_head_size(features, num_classes))

        # Functional model.
        head_dtype = float32_or_wider(policy)
        (source,) = backbone.inputs
        images = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name)
        pooling_layer = POOLINGS[pooling](
            data_format=getattr(backbone, "data_format", None),
            dtype=head_dtype,
            name=f"{pooling}_pool",
        )
        x = pooling_layer(backbone(images))
        if dropout:
            x = keras.layers.Dropout(dropout, dtype=head_dtype, name="dropout")(x)
        of_logits = activation if temperature == 1 else None
        x = keras.layers.Dense(num_classes, of_logits, dtype=head_dtype, name="predictions")(x)
        if temperature != 1:
            x = _with_temperature(x, temperature, activation, head_dtype)
        super().__init__(inputs=images, outputs=x, **kwargs)

        # Config.
        self.backbone = backbone
        self.num_classes = num_classes
        self.pooling = pooling
        self.activation = activation
        self.dropout = dropout
        self.class_names = class_names
        self.image_size = image_size
        self.temperature = temperature
        self.dtype_policy = policy
        if not trainable:
            self.trainable = False

    def predict(self, x: Any, batch_size: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Classify images, as `keras.Model.predict` does with batches.

        Args:
            x: batches in any form that Keras takes, of images at the size that the model is to
                see. Or one image: a path, a Pillow image, or an RGB array `(height, width, 3)` of
                0..255; or a list of them. The model then sees the central square of each image, at
                its `image_size` (224 if it has none).
            batch_size: number of images in a batch; `None` for 32.
            *args: other arguments of `keras.Model.predict`.
            **kwargs: other arguments of `keras.Model.predict`.

        Returns:
            Array `(n, num_classes)` of the outputs, also for one image.

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
        return CroppedImages(images, size, batch_size, data_format, self.channels)

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this model, as JSON types.

        Raises:
            ValueError: if the model was quantized.
        """
        check_not_quantized(self)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": serialize_backbone(self.backbone),
            "num_classes": self.num_classes,
            "pooling": self.pooling,
            "activation": self.activation,
            "dropout": self.dropout,
            "class_names": None if self.class_names is None else list(self.class_names),
            "image_size": to_json(self.image_size),
            # Left out where there is none: older versions load the config, too.
            **({} if self.temperature == 1 else {"temperature": self.temperature}),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    # Presets.

    @classmethod
    def from_preset(
        cls,
        preset: str | Path,
        load_weights: bool | None = None,
        input_shape: tuple[int | None, ...] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Build a classifier from the preset of a classifier or of a backbone.

        From a classifier's preset all weights are loaded, unless `num_classes` or `class_names`
        differ from the preset's. Then, and from the preset of a backbone or detector, only the
        backbone's weights are loaded, and the head is new and untrained.

        Args:
            preset: a preset folder written by `save_to_preset` or by KerasCV; a run folder of a
                training; a weight file; `"kaggle://owner/model/framework/variation"`;
                `"hf://owner/repository"`; with `num_classes` any name in
                `CSPDarkNetBackbone.presets`; or one of
                {presets}.
            load_weights: whether to load the trained weights. `None` loads them if the preset has
                any.
            input_shape: optional shape of the images, `None` for the preset's.
            **kwargs: arguments of `ImageClassifier` and of `CSPDarkNetBackbone` that override the
                preset's. `num_classes` is required for a backbone's preset. `dtype` is that of
                backbone and head, `name` and `trainable` are those of the classifier. Arguments
                that the weights depend on cannot be overridden when weights are loaded.

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
        return build(cls, find(preset, load_weights), kwargs)


def _with_temperature(logits: Any, temperature: float, activation: Any, dtype: Any) -> Any:
    """Return the activated logits, divided by a temperature first."""
    x = keras.layers.Rescaling(1 / temperature, dtype=dtype, name="temperature")(logits)
    if activation in (None, "linear"):
        return x
    return keras.layers.Activation(activation, dtype=dtype, name="probabilities")(x)
