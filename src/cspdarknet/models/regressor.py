"""`ImageRegressor`: a backbone, global pooling and one dense layer for numbers."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import keras

from cspdarknet._arguments import (
    MAX_CLASSES,
    MAX_MEAN,
    MAX_STD,
    MIN_STD,
    check_choice,
    check_fraction,
    is_number,
)
from cspdarknet._image_size import ImageSize, to_json
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


@keras.saving.register_keras_serializable(package="cspdarknet")
class ImageRegressor(PooledModel):
    """An image regressor: a backbone, global pooling and one dense layer for one or more numbers.

    The dense layer `predictions` predicts standardized numbers, and the layer `units` turns them
    into the units of the targets: `predictions * std + mean`. The outputs, those of exported files
    too, are in these units.

    Args:
        backbone: a `CSPDarkNetBackbone`, or another model with one image input and a feature map
            as its output. It is shared, not copied: freeze stages of it with
            `regressor.backbone.freeze(...)`.
        targets: names of the numbers in the order of the outputs, such as `["age", "weight"]`.
        pooling: `"avg"` or `"max"`, the kind of global pooling.
        dropout: float, dropout rate before the dense layer, at least 0 and less than 1. With 0
            there is no dropout layer.
        image_size: optional side in pixels of the images that it was trained on, or a pair (height,
            width). It is metadata for preprocessing; the model takes any size.
        mean: mean of each target in the training data; `None` for zeros.
        std: standard deviation of each target in the training data; `None` for ones.
        dtype: dtype or dtype policy of the head; `None` for the backbone's. The head computes in
            float32 or float64.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: if an argument is of another type or out of range.

    Example:
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> regressor = ImageRegressor(backbone, ["age", "weight"], mean=[41, 75], std=[12, 15])
        >>> regressor.predict(np.ones((1, 64, 64, 3)), verbose=0).shape
        (1, 2)
    """

    task = "regression"

    def __init__(
        self,
        backbone: keras.Model,
        targets: Sequence[str],
        pooling: str = "avg",
        *,
        dropout: float = 0.0,
        image_size: ImageSize | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        trainable = arguments.pop_trainable(kwargs)
        arguments.check_backbone(backbone)
        targets = check_targets(targets)
        check_choice("pooling", pooling, tuple(POOLINGS))
        dropout = check_fraction("dropout", dropout, below_one=True)
        if image_size is not None:
            image_size = arguments.check_image_size(image_size)
        mean = _check_numbers("mean", (0.0,) * len(targets) if mean is None else mean, targets)
        std = _check_numbers("std", (1.0,) * len(targets) if std is None else std, targets)
        policy = backbone.dtype_policy if dtype is None else arguments.check_dtype(dtype)
        arguments.check_size(classifier_head_size(num_features(backbone), len(targets)))

        # Functional model.
        head_dtype = float32_or_wider(policy)
        images, x = pooled_features(backbone, pooling, dropout, head_dtype)
        x = keras.layers.Dense(len(targets), dtype=head_dtype, name="predictions")(x)
        variance = [number**2 for number in std]
        units = keras.layers.Normalization(
            mean=list(mean), variance=variance, invert=True, dtype=head_dtype, name="units"
        )
        x = units(x)
        super().__init__(inputs=images, outputs=x, **kwargs)

        # Config.
        self.backbone = backbone
        self.targets = targets
        self.pooling = pooling
        self.dropout = dropout
        self.image_size = image_size
        self.mean = mean
        self.std = std
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
            "targets": list(self.targets),
            "pooling": self.pooling,
            "dropout": self.dropout,
            "image_size": to_json(self.image_size),
            "mean": list(self.mean),
            "std": list(self.std),
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
        """Build a regressor from the preset of a regressor, or on the backbone of another model.

        From a regressor's preset all weights are loaded, unless `targets` differ from the preset's.
        Then, and from the preset of a backbone, classifier or detector, only the backbone's weights
        are loaded, and the head is new and untrained.

        Args:
            preset: a preset folder written by `save_to_preset`; a run folder of a training; a
                weight file; `"kaggle://owner/model/framework/variation"`;
                `"hf://owner/repository"`; or with `targets` any name in
                `CSPDarkNetBackbone.presets`.
            load_weights: whether to load the trained weights. `None` loads them if the preset has
                any.
            input_shape: optional shape of the images, `None` for the preset's.
            **kwargs: arguments of `ImageRegressor` and of `CSPDarkNetBackbone` that override the
                preset's. `targets` is required for the preset of another model. `mean` and `std`
                are those of the regressor.

        Returns:
            An `ImageRegressor`.

        Raises:
            ValueError: if the preset is unknown, has no weights though `load_weights=True`, its
                weights do not fit its config, or `targets` is missing.
            ConnectionError: if files must be fetched and cannot be.

        Example:
            >>> regressor = ImageRegressor.from_preset("csp_darknet_tiny", targets=["age"])
            >>> regressor.count_params()
            2380801
        """
        if input_shape is not None:
            kwargs["input_shape"] = input_shape
        return build(cls, find(preset, load_weights), kwargs)


def check_targets(targets: Any) -> tuple[str, ...]:
    """Accept the names of one target or more, all of them different.

    Raises:
        ValueError: if it is not a list of such names.
    """
    rule = '`targets` must be a list of different names, such as ["age", "weight"]'
    if isinstance(targets, (str, set, frozenset, dict)) or not isinstance(targets, Iterable):
        raise ValueError(f"{rule}. Received: targets={targets!r}")
    names = list(targets)
    are_names = all(isinstance(name, str) and name for name in names)
    if not names or not are_names or len(set(names)) < len(names) or len(names) > MAX_CLASSES:
        raise ValueError(f"{rule}. Received: targets={targets!r}")
    return tuple(names)


def _check_numbers(name: str, values: Any, targets: Sequence[str]) -> tuple[float, ...]:
    """Accept one number for each target, in a range that float32 holds."""
    least, most = (MIN_STD, MAX_STD) if name == "std" else (-MAX_MEAN, MAX_MEAN)
    rule = (
        f"`{name}` must be a list of {len(targets)} numbers from {least:g} to {most:g}, one for "
        "each target"
    )
    if isinstance(values, (str, set, frozenset, dict)) or not isinstance(values, Iterable):
        raise ValueError(f"{rule}. Received: {name}={values!r}")
    numbers = [float(v) if is_number(v) and least <= v <= most else None for v in values]
    if len(numbers) != len(targets) or None in numbers:
        raise ValueError(f"{rule}. Received: {name}={values!r}")
    return tuple(number for number in numbers if number is not None)
