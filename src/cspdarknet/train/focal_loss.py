"""Focal loss of classifiers, for one-hot labels and for mixtures of them."""

from typing import Any

import keras
from keras import ops

SMALLEST = 1e-12  # of 1 - p, whose power has an infinite slope at 0


class FocalCrossentropy(keras.losses.Loss):
    """Cross-entropy in which images that are classified well count less.

    Its value for an image is the sum over the classes of `-y * (1 - p)**gamma * log(p)`, with the
    label `y` and the probability `p` of the class. It is computed from the logits, so that the
    gradient does not vanish where the probability of the label is tiny, as it does in
    `keras.losses.CategoricalFocalCrossentropy`, which cuts probabilities off at 1e-7.

    Args:
        gamma: exponent; 0 is the cross-entropy.
        label_smoothing: fraction of the label that is spread over all classes.
        **kwargs: arguments of `keras.losses.Loss`.

    References:
        Lin et al. 2017, "Focal Loss for Dense Object Detection" (https://arxiv.org/abs/1708.02002).

    Example:
        >>> loss = FocalCrossentropy(gamma=2.0)
        >>> one_hot, logits = np.array([[1.0, 0.0]]), np.log([[0.75, 0.25]])
        >>> round(float(loss(one_hot, logits)), 4)  # 0.25**2 * -log(0.75)
        0.018
    """

    def __init__(self, gamma: float, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image.

        Args:
            y_true: labels `(batch, classes)` with a sum of 1.
            y_pred: logits `(batch, classes)`.
        """
        labels = y_true * (1 - self.label_smoothing) + self.label_smoothing / y_true.shape[-1]
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        others = ops.maximum(-ops.expm1(log_probabilities), SMALLEST)
        return -ops.sum(labels * others**self.gamma * log_probabilities, axis=-1)
