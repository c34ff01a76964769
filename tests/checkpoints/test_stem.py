"""The two forms of the stem's kernel."""

import numpy as np
import pytest

from cspdarknet.checkpoints import stem

pytestmark = pytest.mark.one_backend


def test_slices_are_ordered_column_by_column():
    kernel = np.zeros((3, 3, 4, 1))
    kernel[0, 0, :, 0] = [1, 2, 3, 4]
    np.testing.assert_array_equal(stem.unfold(kernel)[:2, :2, 0, 0], [[1, 3], [2, 4]])


def test_fold_is_the_inverse():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 12, 5))
    unfolded = stem.unfold(kernel)
    assert unfolded.shape == (6, 6, 3, 5)
    assert stem.folded_shape(unfolded.shape) == kernel.shape
    np.testing.assert_array_equal(stem.fold(unfolded), kernel)
