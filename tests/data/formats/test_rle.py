"""Boxes of run-length encoded masks."""

import numpy as np
import pytest

from cspdarknet.data.formats.rle import rle_box

pytestmark = pytest.mark.one_backend


def runs_of(mask):
    """Lengths of the runs of 0 and 1, column by column."""
    pixels = mask.T.ravel()
    edges = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff([0, *edges, len(pixels)]).tolist()
    return [0, *runs] if pixels[0] else runs


@pytest.mark.parametrize("seed", range(30))
def test_boxes_are_those_of_the_pixels(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    mask = np.zeros((height, width), "uint8")
    for _ in range(rng.integers(1, 4)):
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = 1
    rows, columns = np.nonzero(mask)
    expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    runs = {"size": [int(height), int(width)], "counts": runs_of(mask)}
    box = rle_box(runs)
    assert box == expected
    tools = pytest.importorskip("pycocotools.mask")
    compressed = tools.encode(np.asfortranarray(mask))
    compressed["counts"] = compressed["counts"].decode()
    assert rle_box(compressed) == box


@pytest.mark.parametrize(
    "mask",
    [
        None,
        [],
        {"size": [4, 6]},
        {"size": [4, 6], "counts": [24]},
        {"size": [4, 6], "counts": [3, 2]},
        {"size": [4, 6], "counts": [-3, 27]},
        {"size": [4, "x"], "counts": [3, 21]},
        {"size": [4, 6], "counts": "é"},
        {"size": [4, 6], "counts": "P" * 50},
        {"size": [4, 6], "counts": "o" * 1_000_000},
        {"size": [10**12, 1], "counts": [1, 10**12 - 1]},
        {"size": [4, 6], "counts": {"a": 1}},
    ],
)
def test_masks_that_are_empty_or_damaged(mask):
    assert rle_box(mask) is None
