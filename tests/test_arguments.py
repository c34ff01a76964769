"""Checks of arguments that need no Keras."""

import numpy as np
import pytest

from cspdarknet._arguments import (
    check_bool,
    check_choice,
    check_count,
    check_fraction,
    check_positive,
)

pytestmark = pytest.mark.one_backend


def test_counts():
    assert check_count("n", np.int64(3)) == 3
    assert type(check_count("n", np.int32(3), most=3)) is int
    assert check_count("n", 0, least=0) == 0
    for value in (0, -1, 2.0, "3", True, None, np.float64(1), [1]):
        with pytest.raises(ValueError, match=r"`n` must be an integer, at least 1\. Received: n="):
            check_count("n", value)
    with pytest.raises(ValueError, match=r"at least 2 and at most 5\. Received: n=6"):
        check_count("n", 6, least=2, most=5)


def test_fractions():
    assert [check_fraction("p", value) for value in (0, 1, np.float32(0.5))] == [0, 1, 0.5]
    for value in (-0.1, 1.1, float("nan"), "0.5", True, None):
        with pytest.raises(ValueError, match="`p` must be a number, at least 0 and at most 1"):
            check_fraction("p", value)
    assert check_fraction("p", 0.99, below_one=True) == 0.99
    with pytest.raises(ValueError, match=r"at least 0 and less than 1\. Received: p=1"):
        check_fraction("p", 1, below_one=True)


def test_positive_numbers():
    assert check_positive("x", 2) == 2
    for value in (0, -1, float("inf"), float("nan"), "1", True):
        with pytest.raises(ValueError, match=r"`x` must be a number greater than 0\. Received: x="):
            check_positive("x", value)


def test_choices():
    assert check_choice("c", None, ("a", None)) is None
    with pytest.raises(ValueError, match=r"`c` must be one of 'a', None\. Received: c='b'"):
        check_choice("c", "b", ("a", None))


def test_booleans():
    assert check_bool("b", np.bool_(False)) is False
    for value in (0, 1, "no", None):
        with pytest.raises(ValueError, match=r"`b` must be True or False\. Received: b="):
            check_bool("b", value)
