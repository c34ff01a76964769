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
        self._is_statistic = [id(variable) in statistics for variable in self._weights]
        # Without gradients, or PyTorch would keep the graph of every update.
        self._averages = [keras.ops.copy(value) for value in self._current()]

    def begin(self) -> None:
        """Start new averages of the statistics, which the frozen layers of the model use first."""
        self.batches = 0
        for i, is_statistic in enumerate(self._is_statistic):
            if is_statistic:
                # A copy, for a step on JAX frees the values of the variables that it replaces.
                self._weights[i].assign(keras.ops.copy(self._averages[i]))

    def update(self, is_step: bool = True) -> None:
        """Move the averages after a batch.

        Args:
            is_step: whether the weights were changed after the batch.
        """
        self.batches += 1
        self._move(self._indices(True), _rising(self._statistics_decay, self.batches))
        if is_step:
            self.updates += 1
            decay = _rising(self._ema_decay, self.updates) if self._ema_decay else 0.0
            self._move(self._indices(False), decay)

    def to_numpy(self) -> list[np.ndarray]:
        """Return the averages in the order of the weights of the model."""
        return [np.array(keras.ops.convert_to_numpy(average)) for average in self._averages]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays by name."""
        arrays = {str(i): array for i, array in enumerate(self.to_numpy())}
        return {**arrays, "counts": np.array([self.updates, self.batches])}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from the result of `to_arrays`."""
        self.updates, self.batches = map(int, arrays["counts"])
        tensors = [
            keras.ops.convert_to_tensor(arrays[str(i)], average.dtype)
            for i, average in enumerate(self._averages)
        ]
        if keras.backend.backend() == "torch":  # they lie in memory as the weights do
            for average, tensor in zip(self._averages, tensors, strict=True):
                average.copy_(tensor)
            return
        self._averages = tensors

    def _current(self) -> list[Any]:
        return [keras.ops.stop_gradient(variable.value) for variable in self._weights]

    def _indices(self, statistics: bool) -> list[int]:
        return [i for i, is_one in enumerate(self._is_statistic) if is_one == statistics]

    def _move(self, indices: list[int], decay: float) -> None:
        averages = [self._averages[i] for i in indices]
        values = [keras.ops.stop_gradient(self._weights[i].value) for i in indices]
        for i, average in zip(indices, _lerp()(averages, values, 1 - decay), strict=True):
            self._averages[i] = average


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
