"""The exponential moving average (EMA) of a model's weights."""

import keras


class ExponentialMovingAverage:
    """The exponential moving average of all weights, batch-normalization statistics included.

    The decay starts lower and rises to its final value, since the average starts at the initial
    weights: it is `min(decay, (1 + updates) / (10 + updates))`, as in TensorFlow's
    `tf.train.ExponentialMovingAverage`. Keras's own `use_ema` leaves out the statistics of batch
    normalization, which then belong to other weights.

    Args:
        model: the model.
        decay: fraction of the average that is kept at each update, in 0..1.

    Attributes:
        updates: number of updates.
        values: the averages, in the order of `model.weights`.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._variables = model.weights
        # Without gradients, or PyTorch would keep the graph of every update.
        self.values = [keras.ops.stop_gradient(keras.ops.copy(v.value)) for v in self._variables]

    def update(self) -> None:
        """Move the average towards the current weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for i, variable in enumerate(self._variables):
            value = keras.ops.stop_gradient(variable.value)
            self.values[i] = self.values[i] + (1 - decay) * (value - self.values[i])
