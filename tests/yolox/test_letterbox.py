"""The letterbox: resizing by OpenCV's rule into the top left corner of a gray square."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.yolox.letterbox import bilinear_taps, fitted_size, letterbox, resize
from support import NANO, needs_nano

pytestmark = pytest.mark.one_backend


@needs_nano
def test_the_letterbox_is_that_of_yolox_to_the_last_bit():
    reference = np.load(NANO / "io.npz")
    photo = Image.open(NANO / "images" / str(reference["names"][0])).convert("RGB")
    square, ratio = letterbox(np.asarray(photo), 416)
    assert ratio == reference["ratios"][0]
    np.testing.assert_array_equal(square[..., ::-1].transpose(2, 0, 1), reference["input"][0])


def test_resizing_by_hand():
    row = np.array([0, 100], "uint8").reshape(1, 2, 1).repeat(3, axis=2)
    # Centers of four pixels over two: at -1/4 (the border), 1/4, 3/4 and 5/4 (the border).
    np.testing.assert_array_equal(resize(row, 1, 4)[0, :, 0], [0, 25, 75, 100])
    np.testing.assert_array_equal(resize(row.transpose(1, 0, 2), 4, 1)[:, 0, 0], [0, 25, 75, 100])
    # Without smoothing, of four pixels only the middle two count.
    row = np.array([0, 40, 80, 255], "uint8").reshape(1, 4, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(resize(row, 1, 1)[0, 0], [60, 60, 60])
    # Halves are rounded up.
    row = np.array([0, 1], "uint8").reshape(1, 2, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(resize(row, 1, 1)[0, 0], [1, 1, 1])


def test_resizing_to_the_same_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (23, 31, 3), "uint8")
    np.testing.assert_array_equal(resize(image, 23, 31), image)


def test_taps_keep_the_brightness():
    for length_in, length_out in ((640, 416), (7, 416), (1999, 640), (1, 5)):
        for clamp in (True, False):
            lower, upper, weight_lower, weight_upper = bilinear_taps(length_in, length_out, clamp)
            assert (weight_lower + weight_upper == 2048).all()
            assert lower.min() >= 0
            assert upper.max() < length_in


def test_sides_are_cut_off_to_whole_pixels():
    assert fitted_size(576, 720, 416)[:2] == (332, 415)
    assert fitted_size(480, 640, 416) == (312, 416, 0.65)
    assert fitted_size(4, 9000, 416)[:2] == (1, 416)


def test_images_of_another_form():
    for wrong in (np.zeros((4, 4), "uint8"), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), "uint8")):
        with pytest.raises(ValueError, match="uint8 or float32 array"):
            letterbox(wrong, 32)


@pytest.mark.parametrize("size", [(32, 64), (64, 32)])
@pytest.mark.parametrize(("height", "width"), [(48, 96), (101, 37), (1, 200), (5, 3)])
def test_a_rectangle(size, height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype("uint8")
    result, ratio = letterbox(image, size)
    assert ratio == min(size[0] / height, size[1] / width)
    rows, columns, _ = fitted_size(height, width, size)
    np.testing.assert_array_equal(result[:rows, :columns], resize(image, rows, columns))
    assert result.shape == (*size, 3)
    assert (result[rows:] == 114).all()
    assert (result[:, columns:] == 114).all()


@pytest.mark.parametrize("shape", [(60, 50, 1), (20, 31, 5), (7, 9, 4)])
def test_floats_are_resized_like_bytes_without_rounding(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    squares, _ = letterbox(image, 32)
    floats, _ = letterbox(image.astype("float32") + np.float32(0.25), 32)
    assert floats.dtype == np.float32
    inside = floats != 114
    assert np.abs(floats - squares)[inside].max() < 1.5
    np.testing.assert_array_equal(resize(image.astype("float32"), *shape[:2]), image)
