"""Steps of Keras optimizers by PyTorch's fused kernels.

Keras updates the variables by a dozen operations for each, or for all of them in turn. PyTorch has
kernels that read and write each number once. They work on the variables of the Keras optimizer, so
that its state is saved and restored as always, and compute what it computes.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from cspdarknet.models.torch.layout import arrange_like
from cspdarknet.models.torch.values import values

Tensors = list[torch.Tensor]


def apply_gradients(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Update variables as `optimizer.apply` does.

    Args:
        optimizer: a Keras optimizer. The fused kernels are used for SGD with momentum, Adam and
            AdamW, also with learning rates that differ by variable (an attribute `factors`).
        gradients: the gradient of each variable. They are overwritten.
        variables: the variables.
    """
    kernel = _kernel(optimizer)
    if kernel is None or not all(map(_is_plain, gradients, variables)):
        optimizer.apply(gradients, variables)
        return
    if not optimizer.built:
        optimizer.build(variables)
    indices = [optimizer._get_variable_index(variable) for variable in variables]
    ready = _accumulated(optimizer, list(gradients), indices)
    if ready is not None:
        ready = _clipped(optimizer, ready)
        for factor, group in _groups(optimizer, indices).items():
            chosen = [variables[i] for i in group]
            kernel(optimizer, [ready[i] for i in group], chosen, factor)
    optimizer._iterations.assign_add(1)


def _is_plain(gradient: torch.Tensor | None, variable: Any) -> bool:
    has_kernel = gradient is not None and gradient.device.type in ("cpu", "cuda")
    return has_kernel and variable.constraint is None and not variable.overwrite_with_gradient


def _kernel(optimizer: Any) -> Callable[..., None] | None:
    """Return the function that does the steps of an optimizer; `None` if there is none."""
    if optimizer.use_ema:
        return None
    for optimizer_class, kernel in ((keras.optimizers.SGD, _sgd), (keras.optimizers.Adam, _adam)):
        is_plain = type(optimizer).update_step is optimizer_class.update_step
        if isinstance(optimizer, optimizer_class) and (is_plain or hasattr(optimizer, "factors")):
            return None if getattr(optimizer, "momentum", 1) == 0 else kernel
    return None


def _accumulated(optimizer: Any, gradients: Tensors, indices: list[int]) -> Tensors | None:
    """Add up the gradients of several batches; return their means, or `None` if more follow."""
    steps = optimizer.gradient_accumulation_steps
    if not steps:
        return gradients
    sums = [optimizer._accumulated_gradients[i].value for i in indices]
    torch._foreach_add_(sums, gradients)
    if (int(optimizer._iterations.value) + 1) % steps:
        return None
    means = list(torch._foreach_div(sums, float(steps)))
    torch._foreach_zero_(sums)
    return means


def _clipped(optimizer: Any, gradients: Tensors) -> Tensors:
    """Clip the gradients as the optimizer says."""
    limit = optimizer.global_clipnorm
    if not limit or limit <= 0:
        return list(optimizer._clip_gradients(gradients))
    norm = torch.linalg.vector_norm(torch.stack(list(torch._foreach_norm(gradients))))
    # An infinite norm makes all gradients NaN, as in Keras.
    torch._foreach_mul_(gradients, limit / torch.clamp(norm, min=limit) + (norm - norm))
    return gradients


def _groups(optimizer: Any, indices: list[int]) -> dict[float, list[int]]:
    """Return the positions of the variables by the factor of their learning rate."""
    factors = getattr(optimizer, "factors", None)
    groups = defaultdict(list)
    for position, index in enumerate(indices):
        groups[1.0 if factors is None else float(factors[index])].append(position)
    return groups


def _sgd(optimizer: Any, gradients: Tensors, variables: Sequence[Any], factor: float) -> None:
    """A step of stochastic gradient descent with momentum."""
    rate = float(optimizer.learning_rate)
    momenta = _slots(optimizer, optimizer.momentums, variables)
    _decay(optimizer, variables, rate)
    # Keras multiplies the gradient by the rate before the momentum, PyTorch after it.
    torch._foreach_mul_(gradients, -rate * factor)
    torch._fused_sgd_(
        values(variables),
        _in_layout(gradients, momenta),
        momenta,
        weight_decay=0.0,
        momentum=optimizer.momentum,
        lr=-1.0,
        dampening=0.0,
        nesterov=optimizer.nesterov,
        maximize=False,
        is_first_step=False,
    )


def _adam(optimizer: Any, gradients: Tensors, variables: Sequence[Any], factor: float) -> None:
    """A step of Adam or AdamW."""
    rate, step = float(optimizer.learning_rate), int(optimizer.iterations)
    means = _slots(optimizer, optimizer._momentums, variables)
    squares = _slots(optimizer, optimizer._velocities, variables)
    largest: Tensors = []
    if optimizer.amsgrad:
        largest = _slots(optimizer, optimizer._velocity_hats, variables)
    _decay(optimizer, variables, rate)
    steps = [torch.tensor(step + 1.0, device=means[0].device)] * len(means)
    torch._fused_adam_(
        values(variables),
        _in_layout(gradients, means),
        means,
        squares,
        largest,
        steps,
        lr=rate * factor,
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        weight_decay=0.0,
        # PyTorch adds it to the corrected root, Keras to the root before the correction.
        eps=optimizer.epsilon / (1 - optimizer.beta_2 ** (step + 1)) ** 0.5,
        amsgrad=optimizer.amsgrad,
        maximize=False,
    )


def _slots(optimizer: Any, slots: Sequence[Any], variables: Sequence[Any]) -> Tensors:
    """Return the tensors of the optimizer for variables, which lie in memory as those do."""
    own = [slots[optimizer._get_variable_index(variable)] for variable in variables]
    arrange_like(own, variables)
    return values(own)


def _in_layout(gradients: Tensors, slots: Tensors) -> Tensors:
    """Return the gradients in the order in memory of the variables, which the kernels need."""
    return [
        gradient if gradient.stride() == slot.stride() else torch.empty_like(slot).copy_(gradient)
        for gradient, slot in zip(gradients, slots, strict=True)
    ]


def _decay(optimizer: Any, variables: Sequence[Any], rate: float) -> None:
    """Apply the decoupled weight decay, whose rate Keras does not multiply by the factor."""
    decayed = [v for v in variables if optimizer.weight_decay and _decays(optimizer, v)]
    if decayed:
        torch._foreach_mul_(values(decayed), 1 - optimizer.weight_decay * rate)


def _decays(optimizer: Any, variable: Any) -> bool:
    return bool(optimizer._use_weight_decay(variable))
