"""A moving average of all of a model's numbers, batch-norm statistics included."""

import keras


class ExponentialMovingAverage:
    """Follows the weights of a model: EMA.

    In the first steps the average follows more closely, since it starts at the random weights.
    Keras' own `use_ema` leaves out the batch-norm statistics, which then belong to other weights.

    Args:
        model: the model.
        decay: how much of the average is kept at each step.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._variables = model.weights
        # Cut off the gradients, or PyTorch would remember every update.
        self.values = [keras.ops.stop_gradient(keras.ops.copy(v.value)) for v in self._variables]

    def update(self) -> None:
        """Move the average towards the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for i, variable in enumerate(self._variables):
            value = keras.ops.stop_gradient(variable.value)
            self.values[i] = self.values[i] + (1 - decay) * (value - self.values[i])
