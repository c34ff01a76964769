"""Training batches of a regression."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import ClassificationAugmentation, RegressionDataset, RegressionSource

pytestmark = pytest.mark.one_backend

AUGMENTATION = ClassificationAugmentation((1, 1), rand_augment=0, erase=0, flip=0, cutmix_alpha=0)


@pytest.fixture
def source(tmp_path):
    """Images whose brightness is their first number; the last one cannot be read."""
    paths = tuple(tmp_path / f"{i}.png" for i in range(4))
    for i, path in enumerate(paths[:3]):
        Image.new("RGB", (16, 16), (50 * i,) * 3).save(path)
    numbers = np.array([[0, 7], [50, 7.5], [100, 8], [150, 9]])
    dataset = RegressionDataset(("brightness", "other"), paths, numbers)
    return RegressionSource(dataset, AUGMENTATION, batch_size=4)


def batch(source, seed=0):
    rng = np.random.default_rng(seed)
    images, numbers = zip(*(source.load(i, 16, rng) for i in range(4)), strict=True)
    return source.finish((np.stack(images), np.stack(numbers)), rng)


def test_an_image_that_cannot_be_read_has_no_weight(source):
    images, numbers, weights = batch(source)
    assert weights.tolist() == [1, 1, 1, 0]
    assert numbers.dtype == np.float32
    np.testing.assert_allclose(numbers[:3], [[0, 7], [50, 7.5], [100, 8]])
    assert np.isfinite(numbers).all()
    np.testing.assert_allclose(images[:3].mean(axis=(1, 2, 3)), numbers[:3, 0])


def test_mixup_blends_the_numbers_like_the_pixels(source):
    mixed = replace(source, augmentation=replace(AUGMENTATION, mix=1.0))
    blended = 0
    for seed in range(8):
        images, numbers, weights = batch(mixed, seed)
        blended += int(((weights > 0) & (weights < 1)).sum())
        readable = weights > 0.999
        brightness = images.mean(axis=(1, 2, 3))
        np.testing.assert_allclose(brightness[readable], numbers[readable, 0], atol=0.2)
        # The number of the image that cannot be read is none of the mixtures.
        assert numbers[weights > 0.01, 1].min() >= 6.999
        assert numbers[:, 1].max() <= 8.001
    assert blended
