"""Evaluation of classifiers of ordered classes: how far predictions are from the labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cspdarknet.evaluate.classification import ClassificationEvaluation


@dataclass(frozen=True, eq=False)
class OrdinalEvaluation(ClassificationEvaluation):
    """The predictions of a classifier of ordered classes compared with the labels of a dataset.

    The attributes are those of `ClassificationEvaluation`. Errors are counted in ranks: 1 from a
    class to the next.
    """

    @property
    def _errors_in_ranks(self) -> np.ndarray:
        return np.abs(self.predicted - self.dataset.labels)

    @property
    def mean_absolute_error(self) -> float:
        """Mean absolute error of the most probable class, in ranks."""
        return float(self._errors_in_ranks.mean())

    @property
    def within_one(self) -> float:
        """Fraction of the images whose most probable class is the label or next to it."""
        return float((self._errors_in_ranks <= 1).mean())

    @property
    def kappa(self) -> float:
        """Quadratic weighted kappa, as `sklearn.metrics.cohen_kappa_score`.

        It is 1 if all predictions are right, and 0 for those of chance. Where labels and
        predictions are all of one class, it is 1.
        """
        ranks = np.arange(len(self.confusion))
        weights = (ranks[:, None] - ranks) ** 2
        labeled, predicted = (self.confusion.sum(axis=axis) for axis in (1, 0))
        by_chance = weights * np.outer(labeled, predicted) / len(self.dataset)
        if not by_chance.any():
            return 1.0
        return float(1 - (weights * self.confusion).sum() / by_chance.sum())

    @property
    def ranks(self) -> str:
        """The metrics in ranks as a text."""
        return (
            f"Quadratic weighted kappa {self.kappa:.3f}, mean absolute error "
            f"{self.mean_absolute_error:.3f} ranks, {self.within_one:.2%} within one rank"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as plain JSON types."""
        return {
            **super().to_json(),
            "mean_absolute_error": self.mean_absolute_error,
            "within_one": self.within_one,
            "quadratic_weighted_kappa": self.kappa,
        }
