"""Random transforms of images of any number of channels."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import ClassificationAugmentation
from cspdarknet.data.classification import channels, transforms

pytestmark = pytest.mark.one_backend

RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype("uint8")


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_keep_channels_and_dtype(count, dtype):
    image = np.resize(RGB, (40, 50, count)).astype(dtype)
    augmentation = ClassificationAugmentation(rand_augment=4, magnitude=1, erase=1)
    for seed in range(10):
        changed = augmentation.sample(image, (24, 32), np.random.default_rng(seed))
        assert changed.shape == (24, 32, count)
        assert changed.dtype == dtype
        assert 0 <= changed.min() <= changed.max() <= 255


@pytest.mark.parametrize("index", range(len(channels.OPERATIONS)))
def test_operations_are_those_of_rgb(index):
    """Movements and brightness change each channel as they change those of RGB images."""
    expected = np.asarray(transforms.OPERATIONS[index](Image.fromarray(RGB), 0.4))
    changed = channels.OPERATIONS[index](RGB, 0.4)
    if index < 6:
        np.testing.assert_allclose(changed, expected, atol=1)
    else:  # contrast about the mean of each channel
        assert changed.std() > RGB.std()


def test_floats_are_not_rounded():
    image = RGB[..., :1].astype("float32") / 2 + np.float32(0.25)
    for operation in channels.OPERATIONS[5:]:
        np.testing.assert_allclose(operation(image, 0.0), image, atol=1e-4)
