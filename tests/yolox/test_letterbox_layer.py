"""The letterbox as a layer: bit-equal to the NumPy function."""

import keras
import numpy as np
import pytest

from cspdarknet.yolox.letterbox import letterbox
from cspdarknet.yolox.letterbox_layer import Letterbox
from support import to_numpy


@pytest.mark.parametrize(("height", "width"), [(48, 64), (101, 37), (1, 200), (32, 32), (5, 3)])
def test_squares_are_those_of_the_function(height, width):
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype("uint8")
    squares, sizes = Letterbox(32)(images.astype("float32"))
    for image, square in zip(images, to_numpy(squares), strict=True):
        np.testing.assert_array_equal(square, letterbox(image, 32)[0])
    assert to_numpy(sizes).tolist() == [[height, width]] * 2


@pytest.mark.one_backend
def test_channels_first():
    images = np.random.default_rng(0).integers(0, 256, (1, 40, 30, 3)).astype("float32")
    expected, _ = Letterbox(32)(images)
    layer = Letterbox(32, "channels_first")
    squares, sizes = layer(images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(to_numpy(squares).transpose(0, 2, 3, 1), to_numpy(expected))
    assert to_numpy(sizes).tolist() == [[40, 30]]
    symbolic, _ = layer(keras.Input((3, None, None)))
    assert symbolic.shape == (None, 3, 32, 32)
    assert Letterbox.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.one_backend
def test_values_are_rounded_and_clipped():
    image = np.array([-3.0, 0.4, 99.6, 300], "float32").reshape(1, 2, 2, 1).repeat(3, axis=-1)
    squares, _ = Letterbox(2)(image)
    assert to_numpy(squares)[0, ..., 0].tolist() == [[0, 0], [100, 255]]


@pytest.mark.parametrize(("height", "width"), [(48, 70), (33, 20), (3, 90)])
def test_values_that_are_not_rounded(height, width):
    shape = (1, height, width, 2)
    images = np.random.default_rng(0).uniform(0, 4, shape).astype("float32")
    layer = Letterbox((32, 40), round_values=False)
    squares, _ = layer(images)
    expected, _ = letterbox(images[0], (32, 40))
    np.testing.assert_allclose(to_numpy(squares)[0], expected, atol=1e-5)
    assert len(np.unique(expected)) > 50
    assert Letterbox.from_config(layer.get_config()).round_values is False


def test_the_graph_takes_images_of_any_size():
    """TensorFlow traces it with an unknown size."""
    images = keras.Input((None, None, 3))
    model = keras.Model(images, Letterbox(16)(images))
    for height, width in ((20, 30), (7, 5)):
        image = np.random.default_rng(1).integers(0, 256, (1, height, width, 3)).astype("uint8")
        square, _ = model.predict_on_batch(image.astype("float32"))
        np.testing.assert_array_equal(square[0], letterbox(image[0], 16)[0])


@pytest.mark.parametrize("size", [(32, 64), (64, 32)])
def test_rectangles_of_any_number_of_channels(size):
    images = np.random.default_rng(0).integers(0, 256, (1, 48, 70, 5)).astype("uint8")
    layer = Letterbox(size)
    result, _ = layer(images.astype("float32"))
    np.testing.assert_array_equal(to_numpy(result)[0], letterbox(images[0], size)[0])
    assert layer(keras.Input((None, None, 5)))[0].shape == (None, *size, 5)
    assert Letterbox.from_config(layer.get_config()).size == size
