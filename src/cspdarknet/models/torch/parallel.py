"""Data-parallel training with `torch.distributed`: what models compute over the whole batch.

Each process has an equal part of every batch. The loss of a batch is the mean of the losses of the
processes, as in `torch.nn.parallel.DistributedDataParallel`: gradients are averaged. Unlike there,
batch normalization and the divisor of YOLOX's losses are those of the whole batch, so that several
processes compute what one computes. Without a process group all functions are those of one process.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  (as PyTorch's own documentation imports it)

Normalized = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def process_count() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_parallel() -> bool:
    """Whether several processes train together: PyTorch's default process group is initialized."""
    return process_count() > 1


def sum_over_processes(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over the processes, of equal value in all of them.

    Args:
        tensor: a tensor of equal shape in all processes. Gradients pass through the sum.
    """
    return _Sum.apply(tensor) if is_parallel() else tensor


def loss_divisor(count: torch.Tensor) -> torch.Tensor:
    """Return what a process divides its sum of losses by, so that their mean is of the whole batch.

    Args:
        count: number of positives in the part of this process.

    Returns:
        The number of positives in the whole batch, at least 1, divided by the number of processes.
    """
    return torch.clamp(sum_over_processes(count), min=1.0) / process_count()


def reduce_gradients(gradients: Sequence[torch.Tensor | None]) -> None:
    """Replace gradients by their means over the processes, in one message for each dtype.

    Args:
        gradients: the gradients, in the same order in all processes; `None` where there is none.
    """
    processes, present = process_count(), [g for g in gradients if g is not None]
    for dtype in dict.fromkeys(gradient.dtype for gradient in present):
        group = [gradient for gradient in present if gradient.dtype == dtype]
        flat = torch.cat([gradient.detach().reshape(-1) for gradient in group])
        dist.all_reduce(flat)
        flat /= processes
        for gradient, mean in zip(group, flat.split([g.numel() for g in group]), strict=True):
            gradient.detach().copy_(mean.view(gradient.shape))


def batch_norm(
    x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, epsilon: float
) -> Normalized:
    """Normalize feature maps by the statistics of the whole batch.

    `torch.nn.SyncBatchNorm` does this on GPUs only.

    Args:
        x: the part of this process, channels first.
        gamma: scales of the channels.
        beta: offsets of the channels.
        epsilon: is added to the variances.

    Returns:
        The normalized feature maps, and mean and biased variance of each channel.
    """
    y, mean, variance, _ = _BatchNorm.apply(x, gamma, beta, epsilon)
    return y, mean, variance


class _Sum(torch.autograd.Function):
    """The sum over the processes, which is also the sum of the gradients."""

    @staticmethod
    def forward(_: Any, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return sum_over_processes(gradients[0])


class _BatchNorm(torch.autograd.Function):
    """Batch normalization of the whole batch, from the kernels for fixed statistics."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, epsilon: float
    ) -> tuple[torch.Tensor, ...]:
        mean, variance, count = _statistics(x, gamma)
        ctx.save_for_backward(x, gamma, mean, variance, count)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance, count)
        y = F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, epsilon)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, gamma, mean, variance, count = ctx.saved_tensors
        # The gradients for fixed statistics, and then what passes through the statistics: with
        # z the normalized x, dx = gamma / std * (dy - mean(dy) - z * mean(dy * z)).
        dx, dgamma, dbeta = torch.ops.aten.native_batch_norm_backward(
            *(gradients[0], x, gamma, mean, variance, None, None),
            *(False, ctx.epsilon, [True, True, True]),
        )
        dz_sum, dy_sum = sum_over_processes(torch.stack([dgamma, dbeta])) / count
        inverse_std = torch.rsqrt(variance + ctx.epsilon)
        slope = gamma * inverse_std**2 * dz_sum
        offset = gamma * inverse_std * dy_sum - slope * mean
        through = torch.addcmul(_per_channel(offset), x.to(gamma.dtype), _per_channel(slope))
        return (dx - through).to(x.dtype), dgamma, dbeta, None


def _statistics(x: torch.Tensor, like: torch.Tensor) -> Normalized:
    """Return mean, biased variance and number of values of the channels of the whole batch."""
    # Buffers in the dtype of the variables, or the statistics of bfloat16 would be in bfloat16.
    buffers = torch.zeros_like(like), torch.ones_like(like)
    own_mean, own_variance = torch.batch_norm_update_stats(x, *buffers, 0.0)
    number = own_mean.new_full((1, x.shape[1]), x.numel() / x.shape[1])
    own = torch.cat([number, own_mean[None], own_variance[None]])
    parts = [torch.empty_like(own) for _ in range(process_count())]
    dist.all_gather(parts, own)
    counts, means, variances = torch.stack(parts).unbind(1)
    count = counts.sum(0)
    mean = (counts * means).sum(0) / count
    # Not the mean of the squares, whose difference to the square of the mean loses digits.
    variance = (counts * (variances + (means - mean) ** 2)).sum(0) / count
    return mean, variance, count


def _per_channel(values: torch.Tensor) -> torch.Tensor:
    return values.view(1, -1, 1, 1)
