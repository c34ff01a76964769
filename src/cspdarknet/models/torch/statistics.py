"""Statistics of a batch, and the moving averages of them that Keras keeps."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from keras.src.backend.common.stateless_scope import in_stateless_scope

from cspdarknet.models.torch.values import values


@dataclass(frozen=True)
class BatchStatistics:
    """Mean and biased variance of the channels of a batch.

    Attributes:
        layer: the `BatchNormalization` whose moving averages they are for.
        mean: the means.
        variance: the variances.
    """

    layer: Any
    mean: torch.Tensor
    variance: torch.Tensor


def update(statistics: Iterable[BatchStatistics]) -> None:
    """Update the moving averages as the layers would."""
    by_momentum = defaultdict(list)
    for batch in statistics:
        by_momentum[batch.layer.momentum].append(batch)
    for momentum, batches in by_momentum.items():
        moving = [b.layer.moving_mean for b in batches]
        moving += [b.layer.moving_variance for b in batches]
        new = [b.mean for b in batches] + [b.variance for b in batches]
        with torch.no_grad():
            if not in_stateless_scope():
                torch._foreach_lerp_(values(moving), new, 1 - momentum)
                continue
            averages = torch._foreach_lerp(values(moving), new, 1 - momentum)
            for variable, average in zip(moving, averages, strict=True):
                variable.assign(average)  # which the scope notes
