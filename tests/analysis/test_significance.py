"""McNemar's exact test against known values."""

import math

import numpy as np
import pytest

from cspdarknet.analysis import Contingency, mcnemar

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 2**5),
        (2, 10, 2 * (1 + 12 + 66) / 2**12),
        (0, 2000, 0.0),
    ],
)
def test_closed_forms(a, b, p):
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(p, rel=1e-12)


def test_values_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for a, b in ((3, 9), (59, 6), (121, 59), (1000, 1100)):
        assert mcnemar(a, b) == pytest.approx(stats.binomtest(a, a + b).pvalue, rel=1e-9)


def test_large_numbers_are_near_the_normal_distribution():
    p = mcnemar(20_000, 20_500)
    z = (500 - 1) / math.sqrt(40_500)  # with the correction for continuity
    assert p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


def test_counts():
    a = np.array([True, True, True, False, False, True])
    b = np.array([True, False, False, True, False, True])
    assert Contingency.of(a, b) == Contingency(both=2, only_a=2, only_b=1, neither=1)
