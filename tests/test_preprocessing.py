"""Preprocessing of images for models of each task."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.images import ImageError, center_crop, open_image, read_image
from cspdarknet.model_info import ModelInfo
from cspdarknet.preprocessing import preprocessor
from cspdarknet.yolox.letterbox import letterbox

pytestmark = pytest.mark.one_backend


@pytest.fixture
def file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_detector_takes_the_whole_image_letterboxed(file):
    image = read_image(file)
    for item in (file, str(file), file.read_bytes(), image, Image.open(file)):
        prepared = preprocessor(ModelInfo("detection", image_size=32))(item)
        np.testing.assert_array_equal(prepared.inputs, letterbox(image, 32)[0])
        np.testing.assert_array_equal(prepared.image, image)


def test_a_graph_with_a_letterbox_takes_the_whole_image(file):
    info = ModelInfo("detection", image_size=32, letterbox=True, inputs="uint8")
    np.testing.assert_array_equal(preprocessor(info)(file).inputs, read_image(file))


def test_a_graph_that_letterboxes_floats_gets_what_it_leaves_as_it_is(file):
    info = ModelInfo("detection", image_size=32, letterbox=True, inputs="float32")
    square = letterbox(read_image(file), 32)[0]
    np.testing.assert_array_equal(preprocessor(info)(file).inputs, square)
    floats = square.astype("float32")
    np.testing.assert_array_equal(letterbox(floats, 32)[0], floats)


@pytest.mark.parametrize(
    ("info", "sizes", "side"),
    [
        (ModelInfo("classification"), {}, 224),
        (ModelInfo("classification", image_size=32), {}, 32),
        (ModelInfo("classification", image_size=32), {"image_size": 48}, 48),
        (ModelInfo("features", image_size=32), {}, 32),
        (ModelInfo("features"), {"image_size": 16}, 16),
    ],
)
def test_classifiers_and_backbones_of_one_size_take_the_center_crop(file, info, sizes, side):
    prepared = preprocessor(info, **sizes)(file)
    np.testing.assert_array_equal(prepared.inputs, center_crop(open_image(file), side))
    assert prepared.image is prepared.inputs


def test_backbones_take_the_image_as_it_is_or_shrunk(file):
    whole = preprocessor(ModelInfo("features"))(file)
    np.testing.assert_array_equal(whole.inputs, read_image(file))
    shrink = preprocessor(ModelInfo("features"), longer_side=30)
    np.testing.assert_array_equal(shrink(file).inputs, read_image(file, 30))
    np.testing.assert_array_equal(shrink(read_image(file)).inputs, read_image(file, 30))
    assert shrink(np.zeros((9, 7, 3), "uint8")).inputs.shape == (9, 7, 3)


def test_a_panorama_is_decoded_with_enough_pixels(tmp_path):
    """Vertical lines stay apart: the center crop is 256 pixels of 2048."""
    lines = np.zeros((256, 2048, 3), "uint8")
    lines[:, ::2] = 255
    Image.fromarray(lines).save(tmp_path / "wide.jpg", quality=100, subsampling=0)
    preprocess = preprocessor(ModelInfo("classification"), image_size=128)
    np.testing.assert_array_equal(
        preprocess(tmp_path / "wide.jpg").inputs,
        preprocess(read_image(tmp_path / "wide.jpg")).inputs,
    )


def test_errors_are_those_of_reading(tmp_path):
    for info in (ModelInfo("classification"), ModelInfo("features")):
        with pytest.raises(ImageError, match="no such file"):
            preprocessor(info)(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("info", "sizes", "message"),
    [
        (ModelInfo("classification"), {"longer_side": 9}, "`longer_side` is for backbones"),
        (ModelInfo("features"), {"longer_side": 9, "image_size": 9}, "without `image_size`"),
        (ModelInfo("features", image_size=32), {"longer_side": 9}, "Received: longer_side=9"),
        (ModelInfo("features", image_size=32), {"image_size": 9}, "Received: image_size=9"),
        (ModelInfo("detection", image_size=32), {"image_size": 9}, "Received: image_size=9"),
        (ModelInfo("detection"), {}, "`image_size` must be given"),
    ],
)
def test_sizes_that_do_not_fit(info, sizes, message):
    with pytest.raises(ValueError, match=message):
        preprocessor(info, **sizes)


def test_a_jpeg_in_memory_is_cropped_like_its_file(tmp_path):
    """It is decoded at a fraction of its size, too."""
    Image.effect_noise((640, 480), 50).save(tmp_path / "a.jpg")
    preprocess = preprocessor(ModelInfo("classification", image_size=48))
    inputs = preprocess((tmp_path / "a.jpg").read_bytes()).inputs
    np.testing.assert_array_equal(inputs, preprocess(tmp_path / "a.jpg").inputs)
