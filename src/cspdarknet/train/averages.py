"""Averages of a model's weights over the steps of a training: what is evaluated and saved."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import keras
import numpy as np

Lerp = Callable[[list[Any], list[Any], float], list[Any]]


class WeightAverages:
    """Averages of the weights of a model that is trained, and of its batch statistics.

    Batch normalization keeps moving averages of means and variances with a constant momentum. In
    the first steps of a training the activations change by orders of magnitude, which such averages
    remember for hundreds of steps, and the model finds nothing meanwhile. Here the layers have a
    momentum of 0, so that they hold the statistics of the last batch, and these are averaged with a
    decay that rises with the number of batches. So does that of the exponential moving average
    (EMA) of all other weights: both are `min(decay, (1 + n) / (10 + n))`, as in TensorFlow's
    `tf.train.ExponentialMovingAverage`.

    Args:
        model: the model. Its batch normalizations get a momentum of 0.
        ema_decay: fraction of the EMA that is kept at each update, in 0..1; 0 for the weights
            themselves.
        batch_norm_momentum: fraction of the averages of batch statistics that is kept at each
            batch; that of the EMA, if it is larger.

    Attributes:
        updates: number of updates of the EMA.
        batches: number of batches since the statistics began.
    """

    def __init__(self, model: keras.Model, ema_decay: float, batch_norm_momentum: float) -> None:
        self._ema_decay = ema_decay
        self._statistics_decay = max(ema_decay, batch_norm_momentum)
        self.updates = self.batches = 0
        statistics = _without_momentum(model)
        self._weights = model.weights
        is_statistic = [id(variable) in statistics for variable in self._weights]
        self._statistics = [i for i, is_one in enumerate(is_statistic) if is_one]
        self._others = [i for i, is_one in enumerate(is_statistic) if not is_one and ema_decay]
        # By their index in the weights.
        self._averages = {
            i: keras.ops.copy(self._value(i)) for i in (*self._statistics, *self._others)
        }

    def begin(self) -> None:
        """Start new averages of the statistics, which the frozen layers of the model use first."""
        self.batches = 0
        for i in self._statistics:
            # A copy, for a step on JAX frees the values of the variables that it replaces.
            self._weights[i].assign(keras.ops.copy(self._averages[i]))

    def update(self, is_step: bool = True) -> None:
        """Move the averages after a batch.

        Args:
            is_step: whether the weights were changed after the batch.
        """
        self.batches += 1
        self._move(self._statistics, _rising(self._statistics_decay, self.batches))
        if is_step:
            self.updates += 1
            self._move(self._others, _rising(self._ema_decay, self.updates))

    def to_numpy(self) -> list[np.ndarray]:
        """Return the averages in the order of the weights of the model.

        Without an EMA, all but the statistics are the weights themselves.
        """
        indices = range(len(self._weights))
        return [_array(self._averages.get(i, self._weights[i].value)) for i in indices]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays by name."""
        arrays = {str(i): _array(average) for i, average in self._averages.items()}
        return {**arrays, "counts": np.array([self.updates, self.batches])}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from the result of `to_arrays`."""
        self.updates, self.batches = map(int, arrays["counts"])
        for i, average in self._averages.items():
            tensor = keras.ops.convert_to_tensor(arrays[str(i)], average.dtype)
            if keras.backend.backend() == "torch":  # the averages lie in memory as the weights do
                average.copy_(tensor)
            else:
                self._averages[i] = tensor

    def _value(self, i: int) -> Any:
        """Return a weight without gradients, or PyTorch would keep the graph of every update."""
        return keras.ops.stop_gradient(self._weights[i].value)

    def _move(self, indices: list[int], decay: float) -> None:
        averages = [self._averages[i] for i in indices]
        moved = _lerp()(averages, list(map(self._value, indices)), 1 - decay)
        self._averages.update(zip(indices, moved, strict=True))


def _array(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))


def _rising(decay: float, count: int) -> float:
    return min(decay, (1 + count) / (10 + count))


def _without_momentum(model: keras.Model) -> set[int]:
    """Set the momentum of the batch normalizations to 0, and return the ids of their statistics."""
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.momentum = 0.0
    return {id(v) for layer in layers for v in (layer.moving_mean, layer.moving_variance)}


@cache
def _lerp() -> Lerp:
    """Return the function that moves many tensors towards others by a fraction of the distance."""
    if keras.backend.backend() == "torch":
        return _lerp_of_torch
    if keras.backend.backend() == "jax":
        import jax

        compiled: Lerp = jax.jit(_lerp_one_by_one)
        return compiled
    return _lerp_one_by_one


def _lerp_one_by_one(values: list[Any], targets: list[Any], fraction: float) -> list[Any]:
    pairs = zip(values, targets, strict=True)
    return [value + fraction * (target - value) for value, target in pairs]


def _lerp_of_torch(values: list[Any], targets: list[Any], fraction: float) -> list[Any]:
    import torch

    if values:
        torch._foreach_lerp_(values, targets, fraction)  # in place
    return values
