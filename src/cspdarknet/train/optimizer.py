"""The optimizer of a phase: learning-rate schedule, weight decay, layer-wise learning rates."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from cspdarknet.train.recipe import BaseRecipe, Phase


@keras.saving.register_keras_serializable(package="cspdarknet")
class WarmupHoldCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule of linear warmup, steps at the peak, and cosine decay.

    Args:
        peak: the highest learning rate.
        steps: total number of steps.
        warmup_steps: number of steps in which the learning rate rises linearly to the peak.
        hold_steps: number of steps after the warmup at the peak.
        final_ratio: learning rate at the end, as a fraction of the peak.

    Example:
        >>> schedule = WarmupHoldCosine(peak=1.0, steps=10, warmup_steps=2)
        >>> [round(float(schedule(step)), 2) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.04]
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        warmup_steps: int = 0,
        hold_steps: int = 0,
        final_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        self.peak, self.steps = peak, steps
        self.warmup_steps, self.hold_steps = warmup_steps, hold_steps
        self.final_ratio = final_ratio

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        rise = (step + 1) / max(1, self.warmup_steps)
        start = self.warmup_steps + self.hold_steps
        progress = keras.ops.clip((step - start) / max(1, self.steps - start), 0, 1)
        decay = 0.5 * (1 + keras.ops.cos(math.pi * progress))
        decay = self.final_ratio + (1 - self.final_ratio) * decay
        return self.peak * keras.ops.minimum(rise, decay)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        names = ("peak", "steps", "warmup_steps", "hold_steps", "final_ratio")
        return {name: getattr(self, name) for name in names}


class _LayerwiseLearningRates:
    """Mixin of an optimizer that multiplies the learning rate of each variable by a factor.

    Attributes:
        factors: the factors, in the order of the model's trainable variables.
    """

    factors: Sequence[float]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable at its own learning rate."""
        # By index, as Keras's optimizers find their moments: TensorFlow passes its own variables.
        factor = self.factors[self._get_variable_index(variable)]  # type: ignore[attr-defined]
        super().update_step(gradient, variable, learning_rate * factor)  # type: ignore[misc]


class LayerwiseAdamW(_LayerwiseLearningRates, keras.optimizers.AdamW):
    """AdamW with layer-wise learning rates."""


class LayerwiseSGD(_LayerwiseLearningRates, keras.optimizers.SGD):
    """SGD with layer-wise learning rates."""


def build_optimizer(recipe: BaseRecipe, phase: Phase, steps: int, model: keras.Model) -> Any:
    """Return the optimizer of a recipe for one or more phases that share it.

    Args:
        recipe: the recipe.
        phase: the first of the phases.
        steps: total number of batches in them.
        model: the model, with the layers frozen that the phases do not train.

    Returns:
        A Keras optimizer.
    """
    schedule = WarmupHoldCosine(
        recipe.learning_rate * phase.learning_rate,
        steps,
        round(steps * recipe.warmup_fraction),
        round(steps * recipe.hold_fraction),
        recipe.final_learning_rate_ratio,
    )
    layerwise = recipe.layer_decay < 1
    arguments: dict[str, Any] = {
        "learning_rate": schedule,
        "weight_decay": recipe.weight_decay,
        "global_clipnorm": recipe.clip_norm or None,
        "gradient_accumulation_steps": recipe.accumulate if recipe.accumulate > 1 else None,
    }
    if recipe.optimizer == "sgd":
        optimizer_class = LayerwiseSGD if layerwise else keras.optimizers.SGD
        arguments |= {"momentum": 0.9, "nesterov": True}
    else:
        optimizer_class = LayerwiseAdamW if layerwise else keras.optimizers.AdamW
    optimizer = optimizer_class(**arguments)
    if layerwise:
        optimizer.factors = list(learning_rate_factors(model, recipe.layer_decay).values())
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(
            [v for v in model.trainable_variables if len(v.shape) < 2]
        )
    return optimizer


def learning_rate_factors(model: keras.Model, decay: float) -> dict[str, float]:
    """Return the factor of the learning rate of each trainable variable.

    Args:
        model: a classifier or detector with a CSPDarkNet backbone.
        decay: factor from each stage to the one before it. The factor of the head (and of a
            detector's neck) is 1, that of the last stage `decay`, and so on down to the stem.

    Returns:
        The factors by the path of the variable, in the order of the trainable variables.
    """
    backbone = model.backbone
    levels = [int(level[1:]) for level in backbone.pyramid_level_inputs]
    factors = {}
    for variable in model.trainable_variables:
        depth = 0
        if (layer := variable.path.split("/")[-2]).startswith("dark"):
            depth = levels[-1] + 1 - int(layer.removeprefix("dark").split("_")[0])
        elif layer.startswith("stem"):
            depth = len(levels) + 1
        factors[variable.path] = decay**depth
    return factors
