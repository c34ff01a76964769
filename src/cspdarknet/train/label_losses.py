"""Losses of multi-label classifiers and of classifiers of ordered classes."""

from typing import Any

import keras
import numpy as np
from keras import ops


class MultiLabelCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of each class on its own, from logits; or the focal loss.

    Its value for an image is the mean over the classes of
    `-w * y * (1 - p)**gamma * log(p) - (1 - y) * p**gamma * log(1 - p)`, with the label `y`, the
    probability `p` and the positive weight `w` of the class.

    Args:
        gamma: exponent of the focal loss; 0 is the cross-entropy.
        label_smoothing: fraction by which labels are moved to 0.5.
        positive_weights: float array `(classes,)`; `None` for 1.
        **kwargs: arguments of `keras.losses.Loss`.

    References:
        Lin et al. 2017, "Focal Loss for Dense Object Detection" (https://arxiv.org/abs/1708.02002).

    Example:
        >>> loss = MultiLabelCrossentropy()
        >>> logits = np.log([[3.0, 1 / 3]])  # of the probabilities 0.75 and 0.25
        >>> round(float(loss(np.array([[1.0, 0.0]]), logits)), 4)  # -log(0.75)
        0.2877
    """

    def __init__(
        self,
        gamma: float = 0.0,
        label_smoothing: float = 0.0,
        positive_weights: np.ndarray | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.positive_weights = positive_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image.

        Args:
            y_true: labels `(batch, classes)` in 0..1.
            y_pred: logits `(batch, classes)`.
        """
        labels = y_true * (1 - self.label_smoothing) + self.label_smoothing / 2
        log_p, log_q = ops.log_sigmoid(y_pred), ops.log_sigmoid(-y_pred)  # q = 1 - p
        # A power of a probability is the exponential of its logarithm, whose slope is finite.
        positive = labels * log_p * ops.exp(self.gamma * log_q)
        negative = (1 - labels) * log_q * ops.exp(self.gamma * log_p)
        if self.positive_weights is not None:
            positive = positive * ops.cast(self.positive_weights, positive.dtype)
        return -ops.mean(positive + negative, axis=-1)


class OrdinalCrossentropy(keras.losses.Loss):
    """A cross-entropy plus the squared earth mover's distance, for classes in order.

    The distance is the sum of the squared differences of the cumulative probabilities: a prediction
    costs the more, the farther its classes are from the label. Like the cross-entropy, it is least
    for the true probabilities.

    Args:
        crossentropy: loss of one-hot labels and logits that returns a value for each image.
        **kwargs: arguments of `keras.losses.Loss`.

    References:
        Hou et al. 2016, "Squared Earth Mover's Distance-based Loss for Training Deep Neural
        Networks" (https://arxiv.org/abs/1611.05916).

    Example:
        >>> loss = OrdinalCrossentropy(keras.losses.CategoricalCrossentropy(from_logits=True))
        >>> low = np.array([[1.0, 0.0, 0.0]])
        >>> near, far = np.log([[0.1, 0.8, 0.1]]), np.log([[0.1, 0.1, 0.8]])
        >>> bool(loss(low, near) < loss(low, far))
        True
    """

    def __init__(self, crossentropy: keras.losses.Loss, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.crossentropy = crossentropy

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image.

        Args:
            y_true: labels `(batch, classes)` with a sum of 1.
            y_pred: logits `(batch, classes)`.
        """
        difference = ops.cumsum(ops.softmax(y_pred, axis=-1) - y_true, axis=-1)
        distance = ops.sum(ops.square(difference), axis=-1)
        return self.crossentropy.call(y_true, y_pred) + distance
