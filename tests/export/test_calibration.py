"""Calibration images are preprocessed as the model takes them."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.export.calibration import calibration_images, check_calibration
from cspdarknet.model_info import ModelInfo

pytestmark = pytest.mark.one_backend


def test_a_folder_of_images(noise, tmp_path):
    for i, image in enumerate(noise(40, 60, count=3)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    batches = calibration_images(tmp_path, ModelInfo("classification", image_size=32))
    assert [batch.shape for batch in batches] == [(1, 32, 32, 3)] * 3
    assert batches[0].dtype == np.float32


def test_images_for_a_backbone_are_shrunk():
    image = np.zeros((300, 1280, 3), "uint8")
    info = ModelInfo("features", inputs="uint8")
    (batch,) = calibration_images([image], info)
    assert batch.shape == (1, 150, 640, 3)
    assert batch.dtype == np.uint8
    (batch,) = calibration_images([image], info, image_size=64)
    assert batch.shape == (1, 64, 64, 3)


def test_channels_first():
    info = ModelInfo("features", data_format="channels_first")
    (batch,) = calibration_images([np.zeros((20, 30, 3), "uint8")], info)
    assert batch.shape == (1, 3, 20, 30)


def test_only_the_first_images_are_used():
    images = (np.zeros((4, 4, 3), "uint8") for _ in range(200))
    assert len(calibration_images(images, ModelInfo("features"))) == 128


@pytest.mark.parametrize(("precision", "calibration"), [("int8", None), ("float32", "images")])
def test_calibration_is_for_int8(precision, calibration):
    with pytest.raises(ValueError, match="must be given for precision='int8', and only then"):
        check_calibration(precision, calibration)
