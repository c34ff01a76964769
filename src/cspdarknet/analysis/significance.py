"""McNemar's test: whether one of two models is right more often on the same examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Under the null hypothesis, each example that only one of the models gets right is a fair coin.

    Args:
        only_a: number of examples that only the first model gets right.
        only_b: number of examples that only the second model gets right.

    References:
        McNemar 1947, "Note on the sampling error of the difference between correlated proportions".

    Example:
        >>> mcnemar(8, 1), mcnemar(3, 3)
        (0.0390625, 1.0)
    """
    trials = only_a + only_b
    term = total = 1
    for i in range(min(only_a, only_b)):
        term = term * (trials - i) // (i + 1)  # the next binomial coefficient
        total += term
    # Integers: the quotient is exact to the last digit, for any number of examples.
    return min(1.0, 2 * total / 2**trials)


@dataclass(frozen=True)
class Contingency:
    """How many examples each of two models gets right.

    Attributes:
        both: number that both get right.
        only_a: number that only the first model gets right.
        only_b: number that only the second model gets right.
        neither: number that none of them gets right.

    Example:
        >>> table = Contingency.of(np.array([True, True, False]), np.array([True, False, False]))
        >>> table, table.p_value
        (Contingency(both=1, only_a=1, only_b=0, neither=1), 1.0)
    """

    both: int
    only_a: int
    only_b: int
    neither: int

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray) -> "Contingency":
        """Count two boolean arrays of which examples are right."""
        pairs: Sequence[np.ndarray] = (a & b, a & ~b, ~a & b, ~a & ~b)
        return cls(*(int(pair.sum()) for pair in pairs))

    @property
    def p_value(self) -> float:
        """Two-sided p-value of McNemar's exact test."""
        return mcnemar(self.only_a, self.only_b)
