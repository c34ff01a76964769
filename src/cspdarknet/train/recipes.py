"""The recipes of this package by name, and the loading of recipes from files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

from cspdarknet._arguments import check_choice
from cspdarknet.data.classification.augment import ClassificationAugmentation
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.train.recipe import (
    BaseRecipe,
    ClassificationRecipe,
    DetectionRecipe,
    Phase,
    RegressionRecipe,
)

CLASSIFICATION_RECIPES: Mapping[str, ClassificationRecipe] = {
    # From trained weights: the new head first, then the deep stages too, then all layers.
    "finetune": ClassificationRecipe(
        phases=(
            Phase(2, 160, "head"),
            Phase(4, 160, "P4", 0.5),
            Phase(6, 160, "all", 0.5),
        ),
        layer_decay=0.75,
        dropout=0.1,
        ema_decay=0.98,
        augmentation=ClassificationAugmentation(magnitude=0.3, erase=0.1),
    ),
    # From random weights, with some thousand images. Epochs of small images are cheap.
    "scratch": ClassificationRecipe(
        phases=(Phase(60, 64), Phase(36, 96), Phase(6, 128)),
        batch_size=64,
        learning_rate=2e-3,
        clip_norm=5.0,
        dropout=0.1,
        ema_decay=0.998,
        augmentation=ClassificationAugmentation(magnitude=0.3, mix=0.3),
    ),
    # As KerasCV trained its weights of size L: 224 x 224, crops of 80 to 100 % of the area,
    # RandAugment 0.3, CutMix or MixUp on each batch, SGD, warmup 1 %, hold 45 %, cosine decay.
    "imagenet": ClassificationRecipe(
        phases=(Phase(300, 224),),
        batch_size=512,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        warmup_fraction=0.01,
        hold_fraction=0.45,
        ema_decay=0.9999,
        batch_norm_momentum=0.99,
        augmentation=ClassificationAugmentation(
            crop_area=(0.8, 1.0), magnitude=0.3, erase=0.0, mix=1.0, mixup_alpha=0.2
        ),
    ),
}

REGRESSION_RECIPES: Mapping[str, RegressionRecipe] = {
    # As for classification, with more epochs of all layers.
    "finetune": RegressionRecipe(
        phases=(
            Phase(3, 160, "head"),
            Phase(5, 160, "P4", 0.5),
            Phase(12, 160, "all", 0.5),
        ),
        layer_decay=0.75,
        dropout=0.1,
        ema_decay=0.98,
    ),
    "scratch": RegressionRecipe(
        phases=(Phase(60, 64), Phase(36, 96), Phase(6, 128)),
        batch_size=64,
        learning_rate=2e-3,
        clip_norm=5.0,
        dropout=0.1,
        ema_decay=0.998,
    ),
}

DETECTION_RECIPES: Mapping[str, DetectionRecipe] = {
    # From a trained detector: the head first, then all layers. Few images give few steps, so that
    # batches are small and the EMA follows closely.
    "finetune": DetectionRecipe(
        phases=(
            Phase(5, 416, "head"),
            Phase(35, 416, "all", 0.5),
            Phase(10, 416, "all", 0.5, no_mixing=True),
        ),
        # Some hundred steps are too few for frozen layers and mosaics.
        short=Phase(8, 416, no_mixing=True),
        batch_size=8,
        learning_rate=1e-3,
        weight_decay=0.05,
        warmup_fraction=0.1,
        final_learning_rate_ratio=0.05,
        layer_decay=0.75,
        clip_norm=10.0,
        ema_decay=0.98,
        augmentation=DetectionAugmentation(mosaic=0.5, mosaic_scale=(0.5, 1.5), degrees=5.0),
    ),
    # From random weights, with some hundred images. Epochs of small images are cheap.
    "scratch": DetectionRecipe(
        phases=(Phase(90, 224), Phase(50, 320), Phase(20, 416), Phase(15, 416, no_mixing=True)),
        batch_size=16,
        learning_rate=2e-3,
        weight_decay=0.05,
        warmup_fraction=0.03,
        final_learning_rate_ratio=0.02,
        clip_norm=10.0,
        ema_decay=0.995,
        evaluate_every=5,
        augmentation=DetectionAugmentation(mosaic=0.75, mosaic_scale=(0.5, 1.8)),
    ),
    # As YOLOX was trained on COCO. Keras applies weight decay to the step, PyTorch to the gradient,
    # which momentum 0.9 then adds up ten times: 5e-4 there is 5e-3 here.
    "coco": DetectionRecipe(
        phases=(Phase(285, 640), Phase(15, 640, no_mixing=True)),
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.01,
        weight_decay=5e-3,
        warmup_fraction=5 / 300,
        final_learning_rate_ratio=0.05,
        ema_decay=0.9998,
        evaluate_every=10,
        augmentation=DetectionAugmentation(
            mosaic=1.0, mosaic_scale=(0.1, 2.0), mixup=1.0, multi_scale=(0.75, 1.25)
        ),
    ),
}

_TASKS: Mapping[str, tuple[type[BaseRecipe], Mapping[str, BaseRecipe]]] = {
    "classification": (ClassificationRecipe, CLASSIFICATION_RECIPES),
    "detection": (DetectionRecipe, DETECTION_RECIPES),
    "regression": (RegressionRecipe, REGRESSION_RECIPES),
}


@overload
def load_recipe(
    name: BaseRecipe | str | Path, task: Literal["classification"]
) -> ClassificationRecipe: ...
@overload
def load_recipe(name: BaseRecipe | str | Path, task: Literal["detection"]) -> DetectionRecipe: ...
@overload
def load_recipe(name: BaseRecipe | str | Path, task: Literal["regression"]) -> RegressionRecipe: ...
@overload
def load_recipe(name: BaseRecipe | str | Path, task: str) -> BaseRecipe: ...
def load_recipe(name: BaseRecipe | str | Path, task: str) -> Any:
    """Return a recipe by its name or from a JSON file.

    Args:
        name: a key of `CLASSIFICATION_RECIPES`, `DETECTION_RECIPES` or `REGRESSION_RECIPES`; or a
            JSON file of what `to_json` returned, or the `run.json` of a run folder. A recipe of the
            task is returned as it is.
        task: `"classification"`, `"detection"` or `"regression"`.

    Returns:
        The recipe, of the class of the task.

    Raises:
        ValueError: if there is no such recipe, or the file does not hold one.

    Example:
        >>> load_recipe("finetune", "classification").epochs
        12
        >>> load_recipe("coco", "detection").epochs
        300
    """
    recipe_class, recipes = _TASKS[check_choice("task", task, tuple(_TASKS))]
    if isinstance(name, recipe_class):
        return name
    if isinstance(name, BaseRecipe):
        raise ValueError(
            f"A {task} training needs a {recipe_class.__name__}. Received: a {type(name).__name__}"
        )
    if str(name) in recipes:
        return recipes[str(name)]
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"Unknown recipe {str(name)!r}: choose {', '.join(recipes)}, or a JSON file."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return recipe_class.from_json(content.get("recipe", content))
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a {task} recipe: {error}") from error
