"""Transforms of images with boxes.

Images are black with rectangles of pure colors, so that the pixels show where a box must be.
"""

import numpy as np
import pytest

from cspdarknet.data.detection.transforms import (
    affine_matrix,
    clip_boxes,
    color_matrix,
    flip_horizontal,
    flip_vertical,
    jitter_colors,
    mixup,
    mosaic,
    warp,
)
from detection_samples import sample_of, seen_box

pytestmark = pytest.mark.one_backend


def test_flips_move_boxes_with_their_pixels():
    sample = sample_of((3, 5, 20, 40), size=(50, 60))
    for change, expected in ((flip_horizontal, [30, 5, 47, 40]), (flip_vertical, [3, 20, 20, 55])):
        changed = change(sample)
        np.testing.assert_array_equal(changed.boxes, [expected])
        assert seen_box(changed.image) == expected
    np.testing.assert_array_equal(sample.boxes, [[3, 5, 20, 40]])


def test_a_mosaic_puts_four_samples_around_a_point():
    samples = [sample_of((10, 10, 30, 20), size=(64, 48)) for _ in range(4)]
    canvas = mosaic(samples, 64, 50, 70)
    assert canvas.image.shape == (128, 128, 3)
    # The samples extend from the point (50, 70) to the top left, top right and so on. Of the left
    # ones 14 columns are cut off, with 4 columns of their boxes.
    expected = [[0, 32, 16, 42], [60, 32, 80, 42], [0, 80, 16, 90], [60, 80, 80, 90]]
    np.testing.assert_array_equal(canvas.boxes, expected)
    white = np.zeros((128, 128), bool)
    for left, top, right, bottom in expected:
        white[top:bottom, left:right] = True
    np.testing.assert_array_equal(canvas.image[..., 0] == 255, white)
    assert (canvas.image[:22] == 114).all()
    assert (canvas.image[118:] == 114).all()


def test_the_middle_of_a_mosaic_is_kept():
    samples = [sample_of((20, 20, 44, 44))] * 4
    canvas = mosaic(samples, 64, 64, 64)
    matrix = affine_matrix(0, 1, np.zeros(2), 64, np.array([32, 32]))
    shown = warp(canvas, 64, matrix, 114)
    np.testing.assert_array_equal(shown.image, canvas.image[32:96, 32:96])
    np.testing.assert_array_equal(shown.boxes[0], [0, 0, 12, 12])


@pytest.mark.parametrize("seed", range(8))
def test_a_warp_moves_boxes_with_their_pixels(seed):
    rng = np.random.default_rng(seed)
    sample = sample_of((40, 50, 80, 76), size=(128, 128))
    scale, angle = rng.uniform(0.6, 1.1), rng.uniform(-180, 180)
    matrix = affine_matrix(angle, scale, rng.uniform(-10, 10, 2), 64, rng.uniform(28, 36, 2) * 2)
    warped = warp(sample, 128, matrix, 0)
    np.testing.assert_allclose(warped.boxes[0], seen_box(warped.image), atol=1.5)


def test_rotation_is_counter_clockwise():
    sample = sample_of((8, 4, 24, 12))
    turned = warp(sample, 64, affine_matrix(90, 1, np.zeros(2), 32, np.array([32, 32])), 0)
    np.testing.assert_allclose(turned.image, np.rot90(sample.image).astype(int), atol=1)
    np.testing.assert_allclose(turned.boxes, [[4, 40, 12, 56]], atol=1e-4)


def test_boxes_of_which_little_is_left_are_dropped():
    boxes = [
        (-8, 0, 12, 10),  # 60 % of it is left
        (-17, 0, 3, 10),  # 15 %
        (97, 0, 99.5, 10),  # small, but all of it
        (97, 0, 99, 10),  # two pixels wide
        (0, 0, 90, 4),  # 22 times as long as wide
        (0, 0, 76, 4),
    ]
    boxes = np.array(boxes, "float32")
    kept, labels = clip_boxes(boxes, np.arange(6), (boxes[:, 2:] - boxes[:, :2]).prod(1), (50, 100))
    assert labels.tolist() == [0, 2, 5]
    np.testing.assert_array_equal(kept[0], [0, 0, 12, 10])


def test_the_fraction_left_is_of_the_scaled_box():
    small = warp(sample_of((20, 20, 40, 40)), 64, np.diag([0.25, 0.25, 1]), 0)
    np.testing.assert_array_equal(small.boxes, [[5, 5, 10, 10]])


@pytest.mark.parametrize("seed", range(6))
def test_mixup_blends_both_samples_in_equal_parts(seed):
    red, green = sample_of((8, 8, 40, 40)), sample_of((20, 24, 52, 40), channel=1)
    mixed = mixup(red, green, (0.5, 1.5), np.random.default_rng(seed))
    np.testing.assert_array_equal(mixed.boxes[0], [8, 8, 40, 40])
    assert mixed.image[..., :2].max() == 127
    assert seen_box(2 * mixed.image) == [8, 8, 40, 40]
    np.testing.assert_allclose(mixed.boxes[1], seen_box(2 * mixed.image, 1), atol=1)


def test_colors_turn_around_gray():
    np.testing.assert_allclose(color_matrix(0, 1), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(color_matrix(120, 1) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(color_matrix(77, 2.5) @ [1, 1, 1], [1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(color_matrix(0, 0) @ [0.9, 0.3, 0], [0.4] * 3, atol=1e-12)


def test_each_shift_of_colors_is_applied_with_probability_1_2():
    image = np.full((2, 2, 3), (200, 100, 60), "uint8")
    rng = np.random.default_rng(0)
    for strength in ((60, 0, 0), (0, 60, 0), (0, 0, 60)):
        changed = [(jitter_colors(image, strength, rng) != image).any() for _ in range(400)]
        assert 0.4 < np.mean(changed) < 0.6
    values = [int(jitter_colors(image, (0, 0, 30), rng)[0, 0, 1]) for _ in range(200)]
    assert 70 <= min(values) < 80
    assert 120 < max(values) <= 130


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 4])
def test_channels_are_moved_like_those_of_rgb(channels, dtype):
    """Each channel moves like the red one, and keeps what 8 bits would lose."""
    rgb = sample_of((3, 5, 20, 40), size=(64, 48))
    image = np.repeat(rgb.image[..., :1], channels, axis=2).astype(dtype)
    sample = rgb._replace(image=image)
    matrix = affine_matrix(10, 0.8, np.array([2.0, 1.0]), 32, np.array([30.0, 34.0]))

    def changes(item):
        yield flip_horizontal(item)
        yield flip_vertical(item)
        yield mosaic([item] * 4, (64, 96), 60, 50)
        yield mixup(item, item, (0.5, 1.5), np.random.default_rng(0))

    for changed, expected in zip(changes(sample), changes(rgb), strict=True):
        assert changed.image.dtype == dtype
        np.testing.assert_array_equal(changed.boxes, expected.boxes)
        np.testing.assert_allclose(
            changed.image, expected.image[..., :1].repeat(channels, 2), atol=1
        )
    warped, expected = (warp(item, (64, 96), matrix, 114) for item in (sample, rgb))
    np.testing.assert_allclose(warped.image[..., 0], expected.image[..., 0], atol=1)
    assert warped.image.shape == (64, 96, channels)


def test_colors_of_other_channels_change_in_value_only():
    image = np.full((4, 5, 4), 100, "uint8")
    rng = np.random.default_rng(0)
    for _ in range(5):
        changed = jitter_colors(image, (5, 30, 30), rng)
        assert np.ptp(changed) == 0
    brighter = [jitter_colors(image, (0, 0, 30), np.random.default_rng(i)) for i in range(9)]
    assert any((item != image).any() for item in brighter)
    floats = jitter_colors(image.astype("float32"), (0, 0, 30), np.random.default_rng(0))
    assert floats.dtype == np.float32
