"""`ImageClassifier`: a backbone, global pooling and one dense layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras

from cspdarknet._arguments import (
    MAX_CLASSES,
    check_choice,
    check_count,
    check_crop,
    check_fraction,
    check_temperature,
)
from cspdarknet._image_size import ImageSize, to_json
from cspdarknet._labels import MULTI, SINGLE, THRESHOLD, check_labels, probability_activation
from cspdarknet.checkpoints.layer_forms import check_not_quantized
from cspdarknet.checkpoints.model_size import classifier_head_size
from cspdarknet.layers import float32_or_wider
from cspdarknet.models import arguments
from cspdarknet.models.head import (
    POOLINGS,
    PooledModel,
    num_features,
    pooled_features,
    serialize_backbone,
)
from cspdarknet.presets.load import build
from cspdarknet.presets.sources import find
from cspdarknet.score_thresholds import ScoreThreshold, check_score_threshold
from cspdarknet.score_thresholds import to_json as thresholds_to_json

AUTO = "auto"  # the activation that gives probabilities


@keras.saving.register_keras_serializable(package="cspdarknet")
class ImageClassifier(PooledModel):
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
            `keras.activations`; `None` for logits; `"auto"` for probabilities: `"sigmoid"` with
            `labels="multi"`, else `"softmax"`.
        dropout: float, dropout rate before the dense layer, at least 0 and less than 1. With 0
            there is no dropout layer.
        class_names: optional names of the classes, in the order of the outputs.
        image_size: optional side in pixels of the images that it was trained on, or a pair (height,
            width). It is metadata for preprocessing; the model takes any size.
        crop: part of the side of an image's central square that the model sees of an image file, as
            timm's test crop. It is metadata, too; a training of this package starts without it.
        temperature: number that the logits are divided by before the activation, so that the
            probabilities agree with the accuracy (calibration); the order of the classes does not
            change. `cspdarknet evaluate --calibrate` finds it. It is for inference: a training of
            this package starts without it.
        labels: `"single"` for one class per image; `"multi"` for any number of classes per image,
            each output being the probability of its class; `"ordinal"` for classes in order, from
            low to high.
        score_threshold: with `labels="multi"`, the lowest probability at which an image is said to
            have a class: one number, or one for each class; `None` for 0.5.
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
        activation: Any = AUTO,
        *,
        dropout: float = 0.0,
        class_names: Sequence[str] | None = None,
        image_size: ImageSize | None = None,
        crop: float = 1.0,
        temperature: float = 1.0,
        labels: str = SINGLE,
        score_threshold: ScoreThreshold | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        trainable = arguments.pop_trainable(kwargs)
        arguments.check_backbone(backbone)
        num_classes = check_count("num_classes", num_classes, most=MAX_CLASSES)
        check_choice("pooling", pooling, tuple(POOLINGS))
        labels = check_labels(labels)
        activation = _check_activation(activation, labels)
        score_threshold = _check_threshold(score_threshold, labels, num_classes)
        dropout = check_fraction("dropout", dropout, below_one=True)
        class_names = arguments.check_class_names(class_names, num_classes)
        if image_size is not None:
            image_size = arguments.check_image_size(image_size)
        crop = check_crop(crop)
        temperature = check_temperature(temperature)
        policy = backbone.dtype_policy if dtype is None else arguments.check_dtype(dtype)

        arguments.check_size(classifier_head_size(num_features(backbone), num_classes))

        # Functional model.
        head_dtype = float32_or_wider(policy)
        images, x = pooled_features(backbone, pooling, dropout, head_dtype)
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
        self.crop = crop
        self.temperature = temperature
        self.labels = labels
        self.score_threshold = score_threshold
        self.dtype_policy = policy
        if not trainable:
            self.trainable = False

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
            # Left out where they are the usual ones: older versions load the config, too.
            **({} if self.crop == 1 else {"crop": self.crop}),
            **({} if self.temperature == 1 else {"temperature": self.temperature}),
            **({} if self.labels == SINGLE else {"labels": self.labels}),
            **self._threshold_in_config(),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    def _threshold_in_config(self) -> dict[str, Any]:
        if self.score_threshold is None:
            return {}
        return {"score_threshold": thresholds_to_json(self.score_threshold)}

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


def _check_activation(activation: Any, labels: str) -> str | None:
    """Accept an activation that fits the kind of labels, and return its name."""
    usual = probability_activation(labels)
    name = usual if activation == AUTO else arguments.check_activation(activation)
    if labels != SINGLE and name not in (None, "linear", usual):
        raise ValueError(
            f"`activation` must be {usual!r}, or None for logits, with labels={labels!r}. "
            f"Received: activation={activation!r}"
        )
    return name


def _check_threshold(value: Any, labels: str, num_classes: int) -> ScoreThreshold | None:
    """Accept the score thresholds of a multi-label classifier, which no other one has."""
    if labels == MULTI:
        return check_score_threshold(THRESHOLD if value is None else value, num_classes)
    if value is not None:
        raise ValueError(
            "`score_threshold` is for labels='multi': other classifiers give the most probable "
            f"class. Received: labels={labels!r}, score_threshold={value!r}"
        )
    return None


def _with_temperature(logits: Any, temperature: float, activation: Any, dtype: Any) -> Any:
    """Return the activated logits, divided by a temperature first."""
    x = keras.layers.Rescaling(1 / temperature, dtype=dtype, name="temperature")(logits)
    if activation in (None, "linear"):
        return x
    return keras.layers.Activation(activation, dtype=dtype, name="probabilities")(x)
