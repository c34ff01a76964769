"""What models do by PyTorch's own means on that backend, and by Keras' on the others."""

from collections.abc import Callable
from functools import cache
from typing import Any

import keras

from cspdarknet.yolox.losses import at_least_one

# What PyTorch says where it finds no compiler for processors or for graphics cards.
NO_COMPILER = ("No working C++ compiler", "Failed to find C compiler")


def make_step(model: Any, name: str, make: Callable[[bool], Any], force: bool) -> Any:
    """Make a step of a Keras model; PyTorch compiles it anew for each shape of a batch.

    Keras lets PyTorch compile for sizes that vary as soon as two layers or batches differ in them.
    Then the padding of convolutions is a formula of symbols, at which PyTorch's compiler fails.

    Args:
        model: the model.
        name: name of the attribute that holds the step, such as `"train_function"`.
        make: Keras' own method that makes it, such as `make_train_function`.
        force: whether to replace a step that exists.

    Returns:
        What Keras' own method returns.
    """
    is_there = getattr(model, name) is not None and not force
    if keras.backend.backend() != "torch" or not model.jit_compile or is_there:
        return make(force)
    model.jit_compile = False
    try:
        make(force)
    finally:
        model.jit_compile = True
    setattr(model, name, _compiled(getattr(model, name)))
    return getattr(model, name)


def _compiled(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    import torch

    compiled = torch.compile(step, dynamic=False)

    def run(data: Any) -> Any:
        try:
            return compiled(data)
        except Exception as error:
            if not any(words in str(error) for words in NO_COMPILER):
                raise
            raise ValueError(
                "`jit_compile=True` needs a C++ compiler on PyTorch. Received: a system without "
                "one: install g++ or clang++, or compile the model with `jit_compile=False`."
            ) from error

    return run


def use_torch_functions(model: Any, data_format: str) -> Any:
    """Let PyTorch's own functions compute the outputs of a functional model on that backend.

    The model stays a plain `keras.Model`, which is saved as a graph of standard layers.

    Args:
        model: the model.
        data_format: `"channels_last"` or `"channels_first"`, of its images.

    Returns:
        The model.
    """
    if keras.backend.backend() != "torch":
        return model
    layer_by_layer = model.call

    @cache
    def program() -> Any:
        from cspdarknet.models.torch.program import TorchProgram

        return TorchProgram(model, data_format)

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            return layer_by_layer(inputs, training=training, mask=mask)
        return program()(model._standardize_inputs(inputs), bool(training))

    model.call = call
    return model


def loss_divisor(training: bool) -> Callable[[Any], Any]:
    """Return the divisor of YOLOX's losses; PyTorch's processes share the positives of a batch."""
    if not training or keras.backend.backend() != "torch":  # JAX sees the whole batch
        return at_least_one
    from cspdarknet.models.torch.parallel import loss_divisor as shared

    return shared
