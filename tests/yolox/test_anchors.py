"""Anchor points: their order, and decoding of the raw box outputs."""

import keras
import numpy as np
import pytest

from cspdarknet.yolox.anchors import MAX_LOG_SIZE, anchor_grid, decode_boxes, encode_boxes
from support import to_numpy


def test_levels_then_rows_then_columns():
    grid, strides = (to_numpy(x) for x in anchor_grid(16, 32, (8, 16)))
    first = [[column, row] for row in range(2) for column in range(4)]
    assert grid.tolist() == [*first, [0, 0], [1, 0]]
    assert strides[:, 0].tolist() == [8] * 8 + [16] * 2


def decode_one(raw, grid, stride):
    """Decode the raw output of one anchor point."""
    arrays = np.array([[raw]], "float32"), np.array([grid], "float32"), np.array([[stride]], "f4")
    return to_numpy(decode_boxes(*map(keras.ops.convert_to_tensor, arrays)))[0, 0]


@pytest.mark.one_backend
def test_decoding_by_hand():
    box = decode_one([0.5, 0.25, np.log(2), np.log(3)], [3, 1], 8)
    assert box == pytest.approx([28, 10, 16, 24], rel=1e-6)


@pytest.mark.one_backend
def test_sizes_do_not_overflow():
    box = decode_one([0, 0, 100, 1e30], [0, 0], 8)
    assert box[2:] == pytest.approx([8 * np.exp(MAX_LOG_SIZE)] * 2, rel=1e-5)


def test_encoding_is_the_inverse():
    rng = np.random.default_rng(0)
    grid, strides = anchor_grid(64, 128, (8, 16, 32))
    boxes = rng.uniform(1, 60, (1, len(to_numpy(grid)), 4)).astype("float32")
    raw = encode_boxes(keras.ops.convert_to_tensor(boxes), grid, strides)
    np.testing.assert_allclose(
        to_numpy(decode_boxes(raw, grid, strides)), boxes, rtol=1e-4, atol=1e-4
    )
