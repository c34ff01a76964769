"""Occlusion of models whose score is known in closed form."""

import numpy as np
import pytest

from cspdarknet.analysis.occlusion import occlusion_map

pytestmark = pytest.mark.one_backend
RNG = np.random.default_rng(0)


def additive(weights):
    return lambda images: [float((weights * image).sum()) for image in images]


@pytest.mark.parametrize(("height", "width", "grid"), [(6, 8, 1), (9, 5, 3), (4, 12, 7), (1, 1, 4)])
def test_an_additive_score(height, width, grid):
    image, weights = RNG.normal(size=(2, height, width, 3))
    found = occlusion_map(image, additive(weights), grid)
    falls = ((image - image.mean(axis=(0, 1))) * weights).sum(axis=2)
    sides = [np.rint(np.linspace(0, n, grid + 2)).astype(int) for n in (height, width)]
    total, count = np.zeros((2, height, width))
    for i in range(grid):
        for j in range(grid):
            starts = sides[0][i], sides[1][j]
            ends = sides[0][i + 2], sides[1][j + 2]
            rows, columns = (
                range(min(first, n - 1), min(n, max(last, first + 1)))
                for first, last, n in zip(starts, ends, (height, width), strict=True)
            )
            fall = sum(falls[r, c] for r in rows for c in columns)
            for r in rows:
                for c in columns:
                    total[r, c] += fall
                    count[r, c] += 1
    assert count.min() > 0
    np.testing.assert_allclose(found, total / count, rtol=1e-5, atol=1e-6)


def test_a_score_of_one_pixel():
    image = np.zeros((30, 30, 3), "uint8")
    image[10, 20] = 240  # the mean color is 0
    calls = []
    found = occlusion_map(
        image, lambda images: [x[10, 20, 0] / 240 for x in images], 5, calls.append
    )
    assert found.max() == 1
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 19, 15, 29)
    assert found[10, 20] == 1
    assert len(calls) == 25


def test_the_image_itself_is_not_changed():
    image = RNG.integers(0, 255, (8, 8, 3), "uint8")
    copy = image.copy()
    occlusion_map(image, lambda images: [x.mean() for x in images], 3)
    np.testing.assert_array_equal(image, copy)
