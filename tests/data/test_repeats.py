"""Repeat-factor sampling."""

import numpy as np
import pytest

from cspdarknet.data.repeats import repeated_indices

pytestmark = pytest.mark.one_backend


def counts(labels, threshold, seed=0, num_classes=3):
    arrays = [np.array(ids, "int32") for ids in labels]
    indices = repeated_indices(arrays, threshold, seed, num_classes)
    assert (np.diff(indices) >= 0).all()
    return np.bincount(indices, minlength=len(labels))


def test_the_rarest_class_of_an_image_decides():
    # Class 0 is in all, class 1 in 4 of 64, class 2 in 1 of 64: factors 1, 2 and 4 at 1/4.
    labels = [[0, 0]] * 59 + [[0, 1]] * 3 + [[0, 1, 2], []]
    labels[0] = []
    expected = np.ones(64, int)
    expected[59:62] = 2
    expected[62] = 4
    np.testing.assert_array_equal(counts(labels, 0.25), expected)


def test_fractions_are_drawn_from_the_seed():
    labels = [[0]] * 600 + [[1]] * 200  # sqrt(0.5 / 0.25) = 1.41
    found = counts(labels, 0.5, 1)
    assert (found[:600] == 1).all()
    assert set(found[600:]) == {1, 2}
    assert found[600:].mean() == pytest.approx(2**0.5, abs=0.1)
    np.testing.assert_array_equal(found, counts(labels, 0.5, 1))
    assert (found != counts(labels, 0.5, 2)).any()


def test_nothing_is_repeated_without_rare_classes():
    assert (counts([[0], [1], [], [0, 1]], 0.4) == 1).all()
    assert counts([], 0.5).tolist() == []
