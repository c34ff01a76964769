"""The optimizer of a recipe's stage: learning-rate curve, weight decay, rates by depth."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from cspdarknet.train.recipe import BaseRecipe, Phase


@keras.saving.register_keras_serializable(package="cspdarknet")
class WarmupHoldCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a line, stays, and falls as half a cosine.

    Args:
        peak: the largest rate.
        steps: number of steps in all.
        warmup: steps of the rise.
        hold: steps at the peak.
        floor: the rate at the end, as a share of the peak.

    Example:
        >>> curve = WarmupHoldCosine(peak=1.0, steps=10, warmup=2, hold=0)
        >>> [round(float(curve(step)), 2) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.04]
    """

    def __init__(self, peak: float, steps: int, warmup: int, hold: int, floor: float = 0.0) -> None:
        super().__init__()
        self.peak, self.steps, self.warmup, self.hold = peak, steps, warmup, hold
        self.floor = floor

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        rise = (step + 1) / max(1, self.warmup)
        start = self.warmup + self.hold
        share = keras.ops.clip((step - start) / max(1, self.steps - start), 0, 1)
        fall = 0.5 * (1 + keras.ops.cos(math.pi * share))
        fall = self.floor + (1 - self.floor) * fall
        return self.peak * keras.ops.minimum(rise, fall)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("peak", "steps", "warmup", "hold", "floor")
        return {name: getattr(self, name) for name in names}


class _RatesByPart:
    """Mixed into an optimizer: each variable's learning rate has a factor of its own."""

    factors: Sequence[float]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable at its own rate."""
        # By place, as Keras' optimizers find their moments: TensorFlow hands over raw variables.
        factor = self.factors[self._get_variable_index(variable)]  # type: ignore[attr-defined]
        super().update_step(gradient, variable, learning_rate * factor)  # type: ignore[misc]


class LayerwiseAdamW(_RatesByPart, keras.optimizers.AdamW):
    """AdamW with a learning rate for each part of the network."""


class LayerwiseSGD(_RatesByPart, keras.optimizers.SGD):
    """SGD with a learning rate for each part of the network."""


def build_optimizer(recipe: BaseRecipe, stage: Phase, steps: int, model: keras.Model) -> Any:
    """Return the optimizer for a stage of `steps` batches."""
    curve = WarmupHoldCosine(
        recipe.learning_rate * stage.learning_rate,
        steps,
        round(steps * recipe.warmup),
        round(steps * recipe.hold),
        recipe.floor,
    )
    layerwise = recipe.layer_decay < 1
    arguments: dict[str, Any] = {
        "learning_rate": curve,
        "weight_decay": recipe.weight_decay,
        "global_clipnorm": recipe.clip_norm or None,
        "gradient_accumulation_steps": recipe.accumulate if recipe.accumulate > 1 else None,
    }
    if recipe.optimizer == "sgd":
        cls = LayerwiseSGD if layerwise else keras.optimizers.SGD
        arguments |= {"momentum": 0.9, "nesterov": True}
    else:
        cls = LayerwiseAdamW if layerwise else keras.optimizers.AdamW
    optimizer = cls(**arguments)
    if layerwise:
        optimizer.factors = list(rate_factors(model, recipe.layer_decay).values())
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(
            [v for v in model.trainable_variables if len(v.shape) < 2]
        )
    return optimizer


def rate_factors(model: keras.Model, decay: float) -> dict[str, float]:
    """Return each trainable variable's factor of the learning rate: 1 for the head, less below."""
    backbone = model.backbone
    levels = len(backbone.stackwise_channels)
    factors = {}
    for variable in model.trainable_variables:
        depth = 0
        if (layer := variable.path.split("/")[-2]).startswith("dark"):
            depth = levels + 2 - int(layer.removeprefix("dark").split("_")[0])
        elif layer.startswith("stem"):
            depth = levels + 1
        factors[variable.path] = decay**depth
    return factors
