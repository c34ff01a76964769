"""Training recipes: frozen dataclasses with the hyperparameters of a training."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

from cspdarknet._arguments import (
    check_bool,
    check_choice,
    check_count,
    check_fraction,
    is_number,
)
from cspdarknet._image_size import ImageSize, check_image_size, scaled, sides
from cspdarknet._labels import SINGLE, check_labels
from cspdarknet.data.classification.augment import ClassificationAugmentation
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.tiles import Tiles, check_tiles
from cspdarknet.yolox.levels import check_levels

OPTIMIZERS = ("adamw", "sgd")
MAX_IMAGE_CHANNELS = 1024
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
CLASS_WEIGHTS = ("equal", "balanced")
REGRESSION_LOSSES = ("huber", "mse")

# Movements only: a change of brightness or color may change the number of an image, too.
GEOMETRIC = ClassificationAugmentation(
    crop_area=(0.7, 1.0), rand_augment=0, erase=0.0, cutmix_alpha=0.0
)

Built = TypeVar("Built")


@dataclass(frozen=True)
class Phase:
    """A phase of a training: some epochs of one image size that train the same layers.

    Successive phases with the same `train` and `learning_rate` share one optimizer and one
    learning-rate curve. Otherwise a phase starts with new ones.

    Attributes:
        epochs: number of passes over the training images.
        image_size: side of the square training images in pixels, or a pair (height, width).
        train: the layers that are trained: `"all"`, `"head"`, or the name of a pyramid level, such
            as `"P4"`, for the head and the backbone from this level on.
        learning_rate: peak learning rate, as a factor of the recipe's.
        no_mixing: whether mosaic, MixUp, CutMix and copy-paste are off. A detector is then trained
            with the L1 loss too.
    """

    epochs: int
    image_size: ImageSize = 224
    train: str = "all"
    learning_rate: float = 1.0
    no_mixing: bool = False

    def __post_init__(self) -> None:
        _check(self, check_count, "epochs")
        object.__setattr__(self, "image_size", check_image_size(self.image_size))
        _check(self, _check_positive, "learning_rate")
        _check(self, check_bool, "no_mixing")


@dataclass(frozen=True)
class BaseRecipe:
    """Base class of the recipes: the hyperparameters that all tasks have.

    Attributes:
        phases: phases of the training, in order.
        short: the only phase of a training that `customize` gives at most as many epochs as this
            has; `None` for the last of `phases`, with an epoch each.
        channels: number of channels of the images; `None` for that of the model to start from. The
            first kernel of a model for RGB images is adapted (`checkpoints.stem.for_channels`).
        repeat_threshold: fraction of the images below which a class is rare: images of rare classes
            are repeated within an epoch (`cspdarknet.data.repeats`); 0 repeats none.
        evaluation_scale: side of the validation images, as a factor of the training images'. Random
            crops show objects enlarged, so that more than 1 can be better
            (https://arxiv.org/abs/1906.06423). It was worse in this project's own trainings.
        batch_size: number of images in a batch, over all devices.
        optimizer: `"adamw"`, or `"sgd"` with Nesterov momentum 0.9.
        learning_rate: peak learning rate.
        weight_decay: decoupled weight decay. Batch normalization and biases are excluded.
        warmup_fraction: fraction of the steps in which the learning rate rises linearly from 0.
        hold_fraction: fraction of the steps after the warmup at the peak learning rate. A cosine
            decay takes the rest of them.
        final_learning_rate_ratio: learning rate at the end, as a fraction of the peak.
        layer_decay: factor of the learning rate from each stage of the network to the one before it
            (head, last stage, ..., stem); 1 is the same rate everywhere.
        clip_norm: maximum global norm of the gradients; 0 disables clipping.
        accumulate: number of batches whose gradients are averaged for one optimizer step.
        batch_norm_momentum: fraction of the averages of batch statistics that is kept at each
            batch; `ema_decay`, if that is larger. The first batches of each optimizer keep less.
        ema_decay: decay of the exponential moving average (EMA) of the weights; 0 disables it.
        precision: Keras dtype policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        patience: number of epochs without a better validation accuracy (mAP of a detector) after
            which the training stops; 0 disables early stopping. Only epochs of the last optimizer
            and of the last image size count.
        evaluate_every: number of epochs from one evaluation to the next. The last epoch is always
            evaluated.
        seed: random seed of weights, data order and augmentation.
    """

    phases: tuple[Phase, ...]
    evaluation_scale: float = 1.0
    batch_size: int = 32
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_fraction: float = 0.05
    hold_fraction: float = 0.0
    final_learning_rate_ratio: float = 0.0
    layer_decay: float = 1.0
    clip_norm: float = 0.0
    accumulate: int = 1
    batch_norm_momentum: float = 0.97
    ema_decay: float = 0.995
    precision: str = "float32"
    patience: int = 0
    evaluate_every: int = 1
    seed: int = 0
    short: Phase | None = None
    channels: int | None = None
    repeat_threshold: float = 0.0

    image_size_multiple: ClassVar[int]
    augmentation_class: ClassVar[type[Any]]

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("`phases` must hold at least one phase. Received: phases=()")
        _check(self, check_count, "batch_size", "accumulate", "evaluate_every")
        _check(self, check_count, "patience", "seed", least=0)
        if self.channels is not None:
            _check(self, check_count, "channels", most=MAX_IMAGE_CHANNELS)
        _check(self, check_choice, "optimizer", choices=OPTIMIZERS)
        _check(self, check_choice, "precision", choices=PRECISIONS)
        _check(self, check_fraction, "warmup_fraction", "hold_fraction", "layer_decay")
        _check(self, check_fraction, "repeat_threshold")
        _check(
            self,
            check_fraction,
            *("batch_norm_momentum", "ema_decay", "final_learning_rate_ratio"),
            below_one=True,
        )
        _check(self, _check_positive, "evaluation_scale", "learning_rate", "layer_decay")
        _check(self, _check_positive, "weight_decay", "clip_norm", or_zero=True)
        if self.warmup_fraction + self.hold_fraction > 1:
            raise ValueError(
                "`warmup_fraction` and `hold_fraction` must sum to at most 1. Received: "
                f"warmup_fraction={self.warmup_fraction}, hold_fraction={self.hold_fraction}"
            )

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def epochs_by_optimizer(self) -> list[list[Phase]]:
        """For each optimizer, the phase of each of its epochs."""
        groups = itertools.groupby(self.phases, lambda phase: (phase.train, phase.learning_rate))
        return [[phase for phase in group for _ in range(phase.epochs)] for _, group in groups]

    def phase_number(self, epoch: int) -> int:
        """Return the number, from 1, of the phase of an epoch, from 0."""
        ends = itertools.accumulate(phase.epochs for phase in self.phases)
        return 1 + sum(epoch >= end for end in ends)

    @property
    def image_size(self) -> ImageSize:
        """Size of the images that the trained model takes, in pixels."""
        return self.evaluation_size(self.phases[-1])

    def evaluation_size(self, phase: Phase) -> ImageSize:
        """Return the size of the validation images in a phase, in pixels."""
        return scaled(phase.image_size, self.evaluation_scale, self.image_size_multiple)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON types."""
        return dict(json.loads(json.dumps(dataclasses.asdict(self))))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the recipe that `to_json` returned as plain JSON types.

        Raises:
            ValueError: if a key is unknown or missing, or a value is out of range.
        """
        values = dict(content)
        if "phases" in values:
            values["phases"] = [
                _from_json(Phase, phase, f"phases[{i}]") for i, phase in enumerate(values["phases"])
            ]
        if values.get("short") is not None:
            values["short"] = _from_json(Phase, values["short"], "short")
        values["augmentation"] = _from_json(
            cls.augmentation_class, values.get("augmentation", {}), "augmentation"
        )
        return _from_json(cls, values, "the recipe")


@dataclass(frozen=True)
class ClassificationRecipe(BaseRecipe):
    """A training recipe of a classifier.

    The attributes of `BaseRecipe`, and these:

    Attributes:
        label_smoothing: fraction of the label that is spread over all classes.
        class_weights: weight of each class in the loss: `"equal"`, or `"balanced"` for weights
            inversely proportional to the number of images of the class.
        focal_gamma: exponent of the focal loss (https://arxiv.org/abs/1708.02002), in which images
            that are classified well count less; 0 is the cross-entropy.
        dropout: dropout rate in front of the head.
        labels: the kind of labels: `"single"` for one class per image; `"multi"` for any number,
            with the binary cross-entropy, where `"balanced"` weights are those of the positive
            labels; or `"ordinal"` for classes in order, with a loss that knows the order.
        augmentation: random changes of the training images.

    Example:
        >>> ClassificationRecipe((Phase(2, 160, "head"), Phase(8, 160)), batch_size=64).epochs
        10
    """

    label_smoothing: float = 0.1
    class_weights: str = "equal"
    focal_gamma: float = 0.0
    dropout: float = 0.0
    labels: str = SINGLE
    augmentation: ClassificationAugmentation = field(default_factory=ClassificationAugmentation)

    image_size_multiple = 8
    augmentation_class = ClassificationAugmentation

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, check_choice, "class_weights", choices=CLASS_WEIGHTS)
        _check(self, check_fraction, "label_smoothing", "dropout", below_one=True)
        _check(self, _check_positive, "focal_gamma", or_zero=True)
        check_labels(self.labels)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON types, as earlier versions know it where they can."""
        content = super().to_json()
        if self.labels == SINGLE:
            del content["labels"]
        return content


@dataclass(frozen=True)
class RegressionRecipe(BaseRecipe):
    """A training recipe of a regressor.

    The attributes of `BaseRecipe`, and these:

    Attributes:
        loss: loss of the errors, in standard deviations of each target: `"huber"`, which grows
            linearly beyond one standard deviation, so that wrong numbers do little harm; or
            `"mse"`, the mean squared error.
        dropout: dropout rate in front of the head.
        augmentation: random changes of the training images: by default crops and left-right flips
            only. MixUp blends the numbers, too; CutMix is not for numbers.

    Example:
        >>> RegressionRecipe((Phase(2, 160, "head"), Phase(8, 160)), loss="mse").epochs
        10
    """

    loss: str = "huber"
    dropout: float = 0.0
    augmentation: ClassificationAugmentation = GEOMETRIC

    image_size_multiple = 8
    augmentation_class = ClassificationAugmentation

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, check_choice, "loss", choices=REGRESSION_LOSSES)
        _check(self, check_fraction, "dropout", below_one=True)
        if self.augmentation.mix and self.augmentation.cutmix_alpha:
            raise ValueError(
                "`cutmix_alpha` must be 0 in a regression, whose numbers do not blend by area. "
                f"Received: cutmix_alpha={self.augmentation.cutmix_alpha}"
            )
        if self.repeat_threshold:
            raise ValueError(
                "`repeat_threshold` is for classes, and must be 0 in a regression. Received: "
                f"repeat_threshold={self.repeat_threshold}"
            )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the recipe that `to_json` returned as plain JSON types; as of `BaseRecipe`."""
        given = content.get("augmentation", {})
        if isinstance(given, Mapping):  # what is left out is as in a new recipe
            content = {**content, "augmentation": {**dataclasses.asdict(GEOMETRIC), **given}}
        return super().from_json(content)


@dataclass(frozen=True)
class DetectionRecipe(BaseRecipe):
    """A training recipe of a detector.

    The attributes of `BaseRecipe`, and these:

    Attributes:
        max_boxes: maximum number of ground-truth boxes per image; the largest ones are kept.
        tiles: `Tiles` to train on in place of large images, and to validate by; or `None`.
        levels: pyramid levels of the detector, such as `("P2", "P3", "P4", "P5")`; `None` for those
            of the model to start from.
        augmentation: random changes of the training images.

    Example:
        >>> DetectionRecipe((Phase(280, 640), Phase(20, 640, no_mixing=True))).image_size
        640
    """

    max_boxes: int = 120
    tiles: Tiles | None = None
    levels: tuple[str, ...] | None = None
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)

    image_size_multiple = 32
    augmentation_class = DetectionAugmentation

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, check_count, "max_boxes")
        check_tiles(self.tiles)
        if self.levels is not None:
            object.__setattr__(self, "levels", check_levels(self.levels))
        for phase in filter(None, (*self.phases, self.short)):
            if any(side % self.image_size_multiple for side in sides(phase.image_size)):
                raise ValueError(
                    "The `image_size` of a detector's phases must be a multiple of "
                    f"{self.image_size_multiple}. Received: image_size={phase.image_size}"
                )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the recipe that `to_json` returned as plain JSON types; as of `BaseRecipe`."""
        values = dict(content)
        if values.get("tiles") is not None:
            values["tiles"] = _from_json(Tiles, values["tiles"], "tiles")
        return super().from_json(values)


def _check(owner: Any, check: Callable[..., Any], *names: str, **limits: Any) -> None:
    """Check attributes of a frozen dataclass, and store them in Python's own types."""
    for name in names:
        object.__setattr__(owner, name, check(name, getattr(owner, name), **limits))


def _check_positive(name: str, value: Any, *, or_zero: bool = False) -> float:
    if not is_number(value) or value < 0 or (value == 0 and not or_zero):
        limit = "at least" if or_zero else "greater than"
        raise ValueError(f"`{name}` must be a number {limit} 0. Received: {name}={value!r}")
    return float(value)


def _from_json(cls: type[Built], content: Any, name: str) -> Built:
    """Build a dataclass from a JSON object whose keys are its fields."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{name} must be a JSON object. Received: {content!r}")
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    accepted = [field.name for field in fields]
    required = [
        field.name
        for field in fields
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    for key in content:
        if key not in accepted:
            raise ValueError(
                f"{name} has the unknown key {key!r}: the accepted keys are {', '.join(accepted)}."
            )
    for key in required:
        if key not in content:
            raise ValueError(f"{name} needs the key {key!r}.")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
