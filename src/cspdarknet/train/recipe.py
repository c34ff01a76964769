"""How a model is trained, as data: every choice in one place, saved with each run."""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cspdarknet.data.classification.augment import ClassificationAugmentation
from cspdarknet.data.detection.augment import DetectionAugmentation

OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
CLASS_WEIGHTS = ("equal", "balanced")


@dataclass(frozen=True)
class Phase:
    """A part of a training.

    Stages that follow each other with the same `train` and `learning_rate` share one optimizer and
    one learning-rate curve; otherwise a stage begins with new ones.

    Attributes:
        epochs: passes over the photos.
        image_size: side of the training images, in pixels.
        train: what is trained: `"all"`, `"head"`, or the head and the backbone from a level on,
            such as `"P4"`.
        learning_rate: peak, as a factor of the recipe's.
        no_mixing: no photos are mixed with others: no mosaic, MixUp or CutMix. A detector is then
            trained with the L1 loss too.
    """

    epochs: int
    image_size: int = 224
    train: str = "all"
    learning_rate: float = 1.0
    no_mixing: bool = False

    def __post_init__(self) -> None:
        _whole(self, "epochs", "image_size")
        _positive(self, "epochs", "image_size", "learning_rate")


@dataclass(frozen=True)
class BaseRecipe:
    """What the trainings of all models have in common.

    Attributes:
        stages: what is trained, in turn.
        evaluation_scale: side of the images that are evaluated, as a factor of the training
            images'. Random crops show things enlarged, so that more than 1 can be better
            (https://arxiv.org/abs/1906.06423); in this project's own trainings it was worse.
        batch_size: photos in a batch, of all devices together.
        optimizer: `"adamw"`, or `"sgd"` with Nesterov momentum 0.9.
        learning_rate: peak of the curve.
        weight_decay: decoupled; batch-norms and biases are left out.
        warmup: share of a stage's steps in which the rate rises from 0.
        hold: share of a stage's steps after that, at the peak; then it falls as a cosine.
        floor: what it falls to, as a share of the peak.
        layer_decay: factor of the learning rate from each part to the one before it (head, last
            stage, ..., stem); 1 is the same rate everywhere.
        clip_norm: largest norm of the gradient of all weights together; 0 is no limit.
        accumulate: batches whose gradients are averaged for one step.
        batch_norm_momentum: of the moving averages; a short training wants less than 0.99.
        ema_decay: the weights that are kept are a moving average with this factor at each step;
            0 keeps the last ones.
        precision: dtype policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        patience: epochs of the last optimizer and image size without a better validation
            accuracy (mAP of a detector), after which training stops; 0 never stops early.
        evaluate_every: epochs from one evaluation to the next; the last epoch is always evaluated.
        seed: of weights, order and augmentation.
    """

    stages: tuple[Phase, ...]
    evaluation_scale: float = 1.0
    batch_size: int = 32
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    hold: float = 0.0
    floor: float = 0.0
    layer_decay: float = 1.0
    clip_norm: float = 0.0
    accumulate: int = 1
    batch_norm_momentum: float = 0.97
    ema_decay: float = 0.995
    precision: str = "float32"
    patience: int = 0
    evaluate_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("A recipe needs at least one stage.")
        _whole(self, "batch_size", "accumulate", "patience", "evaluate_every", "seed")
        _positive(
            self,
            "evaluation_scale",
            "batch_size",
            "learning_rate",
            "accumulate",
            "layer_decay",
            "evaluate_every",
        )
        _among("optimizer", self.optimizer, OPTIMIZERS)
        _among("precision", self.precision, PRECISIONS)
        _shares(self, "batch_norm_momentum", "ema_decay", "floor")
        for name in ("weight_decay", "clip_norm", "patience", "warmup", "hold", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be 0 or more. Received: {getattr(self, name)}")
        if self.warmup + self.hold > 1:
            raise ValueError("`warmup` and `hold` together are more than all steps.")
        if self.layer_decay > 1:
            raise ValueError(f"`layer_decay` is at most 1. Received: {self.layer_decay}")

    @property
    def epochs(self) -> int:
        """Passes over the photos, of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def phases(self) -> list[list[Phase]]:
        """For each optimizer, the stage of each of its epochs."""
        groups = itertools.groupby(self.stages, lambda stage: (stage.train, stage.learning_rate))
        return [[stage for stage in group for _ in range(stage.epochs)] for _, group in groups]

    def stage_number(self, epoch: int) -> int:
        """Number of the stage, from 1, that an epoch, from 0, belongs to."""
        ends = itertools.accumulate(stage.epochs for stage in self.stages)
        return 1 + sum(epoch >= end for end in ends)

    @property
    def image_size(self) -> int:
        """Side of the images that the finished model is for."""
        return self.evaluation_size(self.stages[-1])

    def evaluation_size(self, stage: Phase) -> int:
        """Side of the images that the model is evaluated on in a stage: a multiple of 8."""
        return max(8, round(stage.image_size * self.evaluation_scale / 8) * 8)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON types."""
        return dict(json.loads(json.dumps(dataclasses.asdict(self))))


@dataclass(frozen=True)
class ClassificationRecipe(BaseRecipe):
    """How to train a classifier.

    Attributes:
        label_smoothing: share of the label that is spread over all classes.
        class_weights: `"equal"`, or `"balanced"`: in proportion to 1 / photos of the class.
        dropout: in front of the head.
        augmentation: how photos are changed.
    """

    label_smoothing: float = 0.1
    class_weights: str = "equal"
    dropout: float = 0.0
    augmentation: ClassificationAugmentation = field(default_factory=ClassificationAugmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        _among("class_weights", self.class_weights, CLASS_WEIGHTS)
        _shares(self, "label_smoothing", "dropout")


@dataclass(frozen=True)
class DetectionRecipe(BaseRecipe):
    """How to train a detector.

    Attributes:
        max_boxes: boxes of an image that are trained on, at most; the largest are kept.
        augmentation: how photos are changed.
    """

    max_boxes: int = 120
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole(self, "max_boxes")
        _positive(self, "max_boxes")
        if odd := [stage.image_size for stage in self.stages if stage.image_size % 32]:
            raise ValueError(
                f"The image sizes of a detector must be multiples of 32. Received: {odd[0]}"
            )

    def evaluation_size(self, stage: Phase) -> int:
        """Side of the images that the model is evaluated on in a stage: a multiple of 32."""
        return max(32, round(stage.image_size * self.evaluation_scale / 32) * 32)


AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)


def _shares(owner: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(owner, name) < 1:
            raise ValueError(f"`{name}` must be in 0..1. Received: {getattr(owner, name)}")


def _whole(owner: Any, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"`{name}` must be a whole number. Received: {value!r}")


def _positive(owner: Any, *names: str) -> None:
    for name in names:
        if not getattr(owner, name) > 0:
            raise ValueError(f"`{name}` must be more than 0. Received: {getattr(owner, name)}")


def _among(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ValueError(f"`{name}` must be one of {', '.join(accepted)}. Received: {value!r}")


CLASSIFICATION_RECIPES: Mapping[str, ClassificationRecipe] = {
    # From trained weights: the head alone, then the deep stages, then everything, gently.
    "finetune": ClassificationRecipe(
        stages=(
            Phase(2, 160, "head"),
            Phase(4, 160, "P4", 0.5),
            Phase(6, 160, "all", 0.5),
        ),
        layer_decay=0.75,
        dropout=0.1,
        ema_decay=0.98,
        augmentation=ClassificationAugmentation(magnitude=0.3, erase=0.1),
    ),
    # From random weights, on some thousand photos: small images first, where epochs are cheap.
    "scratch": ClassificationRecipe(
        stages=(Phase(60, 64), Phase(36, 96), Phase(6, 128)),
        batch_size=64,
        learning_rate=2e-3,
        clip_norm=5.0,
        dropout=0.1,
        ema_decay=0.998,
        augmentation=ClassificationAugmentation(magnitude=0.3, mix=0.3),
    ),
    # As KerasCV trained its weights of size L: 224 x 224, crops of 80 to 100 % of the area,
    # RandAugment 0.3, CutMix or MixUp on each batch, SGD, warm-up 1 %, hold 45 %, cosine.
    "imagenet": ClassificationRecipe(
        stages=(Phase(300, 224),),
        batch_size=512,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        warmup=0.01,
        hold=0.45,
        ema_decay=0.9999,
        batch_norm_momentum=0.99,
        augmentation=ClassificationAugmentation(
            crop_area=(0.8, 1.0), magnitude=0.3, erase=0.0, mix=1.0, mixup_alpha=0.2
        ),
    ),
}


DETECTION_RECIPES: Mapping[str, DetectionRecipe] = {
    # From weights trained to detect: new predictions first, then everything, gently. Few photos
    # give few steps, so that batches are small, and the average follows closely.
    "finetune": DetectionRecipe(
        stages=(
            Phase(5, 416, "head"),
            Phase(35, 416, "all", 0.5),
            Phase(10, 416, "all", 0.5, True),
        ),
        batch_size=8,
        learning_rate=1e-3,
        weight_decay=0.05,
        warmup=0.1,
        floor=0.05,
        layer_decay=0.75,
        clip_norm=10.0,
        ema_decay=0.98,
        augmentation=DetectionAugmentation(mosaic=0.5, mosaic_scale=(0.5, 1.5), degrees=5.0),
    ),
    # From random weights, on some hundred photos: small images first, where epochs are cheap.
    "scratch": DetectionRecipe(
        stages=(Phase(90, 224), Phase(50, 320), Phase(20, 416), Phase(15, 416, no_mixing=True)),
        batch_size=16,
        learning_rate=2e-3,
        weight_decay=0.05,
        warmup=0.03,
        floor=0.02,
        clip_norm=10.0,
        ema_decay=0.995,
        evaluate_every=5,
        augmentation=DetectionAugmentation(mosaic=0.75, mosaic_scale=(0.5, 1.8)),
    ),
    # As YOLOX was trained on COCO. Keras' weight decay works on the step, PyTorch's on the gradient
    # that the momentum then adds up ten times: 5e-4 there is 5e-3 here.
    "coco": DetectionRecipe(
        stages=(Phase(285, 640), Phase(15, 640, no_mixing=True)),
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.01,
        weight_decay=5e-3,
        warmup=5 / 300,
        floor=0.05,
        ema_decay=0.9998,
        evaluate_every=10,
        augmentation=DetectionAugmentation(
            mosaic=1.0, mosaic_scale=(0.1, 2.0), mixup=1.0, multi_scale=(0.75, 1.25)
        ),
    ),
}


def load_recipe(name: str | Path) -> ClassificationRecipe:
    """Return a recipe by its name, or read one from a JSON file (a run's `run.json`, too).

    Raises:
        ValueError: if there is no such recipe, or the file is malformed.

    Example:
        >>> load_recipe("finetune").epochs
        12
    """
    return _load(name, CLASSIFICATION_RECIPES, ClassificationRecipe, ClassificationAugmentation)


def load_detection_recipe(name: str | Path) -> DetectionRecipe:
    """Return a detector's recipe by its name, or read one from a JSON file, as `load_recipe` does.

    Example:
        >>> load_detection_recipe("coco").epochs
        300
    """
    return _load(name, DETECTION_RECIPES, DetectionRecipe, DetectionAugmentation)


def _load(
    name: str | Path,
    recipes: Mapping[str, AnyRecipe],
    cls: type[AnyRecipe],
    augmentation: type[Any],
) -> AnyRecipe:
    if str(name) in recipes:
        return recipes[str(name)]
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"Unknown recipe {str(name)!r}: choose {', '.join(recipes)}, or a JSON file."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return recipe_from_json(content.get("recipe", content), cls, augmentation)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a recipe: {error}") from error


def recipe_from_json(
    content: Mapping[str, Any], cls: type[AnyRecipe], augmentation: type[Any]
) -> AnyRecipe:
    """Build a recipe of a class from what its `to_json` returned."""
    stages = tuple(Phase(**stage) for stage in content["stages"])
    changes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content.get("augmentation", {}).items()
    }
    return cls(**{**content, "stages": stages, "augmentation": augmentation(**changes)})


def customize(
    recipe: AnyRecipe, epochs: int | None = None, image_size: int | None = None, **changes: Any
) -> AnyRecipe:
    """Return a recipe with other values; those that are `None` stay as they are.

    Args:
        recipe: the recipe to start from.
        epochs: of all stages together, which keep their shares.
        image_size: of the last stage; the others keep their ratio to it.
        **changes: attributes of the recipe, or of its augmentation.

    Raises:
        ValueError: if a value is out of range, or the epochs are too few for the stages.

    Example:
        >>> customize(CLASSIFICATION_RECIPES["scratch"], epochs=35, seed=1).epochs
        35
    """
    stages = recipe.stages
    if epochs is not None:
        stages = _with_epochs(stages, epochs)
    if image_size is not None:
        stages = _with_image_size(stages, image_size)
    given = {name: value for name, value in changes.items() if value is not None}
    augmentation: Any = recipe.augmentation  # type: ignore[attr-defined]
    own = {field.name for field in dataclasses.fields(augmentation)}
    given["augmentation"] = dataclasses.replace(
        augmentation, **{name: given.pop(name) for name in own & given.keys()}
    )
    return dataclasses.replace(recipe, stages=stages, **given)


def _with_image_size(stages: tuple[Phase, ...], size: int) -> tuple[Phase, ...]:
    """Scale the images of all stages, those before the last to a multiple of 32 pixels."""
    ratio = size / stages[-1].image_size
    rounded = [max(32, round(stage.image_size * ratio / 32) * 32) for stage in stages[:-1]]
    sizes = [min(size, side) for side in rounded]
    return tuple(
        dataclasses.replace(stage, image_size=side)
        for stage, side in zip(stages, [*sizes, size], strict=True)
    )


def _with_epochs(stages: tuple[Phase, ...], epochs: int) -> tuple[Phase, ...]:
    """Share out epochs as the stages do; each boundary is rounded, so that the sum is right."""
    if epochs < len(stages):
        raise ValueError(
            f"The recipe has {len(stages)} stages of at least one epoch. Received: epochs={epochs}"
        )
    total = sum(stage.epochs for stage in stages)
    shared, before, used = [], 0, 0
    for i, stage in enumerate(stages):
        before += stage.epochs
        left = len(stages) - i - 1
        end = min(max(round(before * epochs / total), used + 1), epochs - left)
        shared.append(dataclasses.replace(stage, epochs=end - used))
        used = end
    return tuple(shared)
