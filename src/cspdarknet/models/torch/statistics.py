"""Statistics of a batch, and the moving averages of them that Keras keeps."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch


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
    with torch.no_grad():
        for batch in statistics:
            layer, weight = batch.layer, 1 - batch.layer.momentum
            layer.moving_mean.assign(torch.lerp(layer.moving_mean.value, batch.mean, weight))
            variance = torch.lerp(layer.moving_variance.value, batch.variance, weight)
            layer.moving_variance.assign(variance)
