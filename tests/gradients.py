"""Gradients of a loss with respect to a model's weights, on any backend."""

import keras


def gradients(model, loss, x):
    """Return the loss and its gradients by variable path, in training mode."""
    value, grads = {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}[
        keras.backend.backend()
    ](model, loss, x)
    paths = [variable.path for variable in model.trainable_variables]
    return float(value), dict(zip(paths, grads, strict=True))


def _jax(model, loss, x):
    import jax

    frozen = [v.value for v in model.non_trainable_variables]

    def compute(weights):
        return loss(model.stateless_call(weights, frozen, x, training=True)[0])

    return jax.value_and_grad(compute)([v.value for v in model.trainable_variables])


def _torch(model, loss, x):
    model.zero_grad()
    value = loss(model(x, training=True))
    value.backward()
    return value.detach(), [v.value.grad for v in model.trainable_variables]


def _tensorflow(model, loss, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(model(x, training=True))
    return value, tape.gradient(value, [v.value for v in model.trainable_variables])
