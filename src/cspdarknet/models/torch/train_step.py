"""A training step on PyTorch, in place of that of `keras.Model`."""

import warnings
from typing import Any

import keras
import torch

from cspdarknet.models.torch import parallel
from cspdarknet.models.torch.update import apply_gradients
from cspdarknet.models.torch.values import values


def train_step(model: Any, data: Any) -> dict[str, Any]:
    """Train with one batch, as `keras.Model.train_step` does on PyTorch.

    Args:
        model: a compiled Keras model.
        data: images, targets and optional weights.

    Returns:
        The metrics by name.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    outputs = model(x, training=True)
    loss = model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=True)
    batch_size = next(t for t in keras.tree.flatten(x) if t is not None).shape[0]
    model._loss_tracker.update_state(loss, sample_weight=batch_size)
    if variables := model.trainable_weights:
        tensors = values(variables)
        for tensor in tensors:
            tensor.grad = None
        model.optimizer.scale_loss(loss).backward()
        gradients = [tensor.grad for tensor in tensors]
        if parallel.is_parallel():
            parallel.reduce_gradients(gradients)
        with torch.no_grad():
            apply_gradients(model.optimizer, gradients, variables)
    else:
        warnings.warn("The model has no trainable weights.", stacklevel=2)
    result: dict[str, Any] = model.compute_metrics(x, y, outputs, sample_weight=sample_weight)
    return result
