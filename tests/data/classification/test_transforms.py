"""Random transforms of images and batches for classification."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data.classification.transforms import (
    OPERATIONS,
    cutmix,
    mixup,
    rand_augment,
    random_erase,
    random_resized_crop,
)

pytestmark = pytest.mark.one_backend


def test_each_operation_of_rand_augment_changes_pixels_and_keeps_the_size():
    image = Image.fromarray(np.random.default_rng(0).integers(60, 200, (32, 48, 3), "uint8"))
    for operation in OPERATIONS:
        changed = operation(image, 0.7)
        assert (changed.size, changed.mode) == (image.size, "RGB")
        assert np.asarray(changed).tolist() != np.asarray(image).tolist()


def test_crops_have_the_area_and_aspect_asked_for():
    rng = np.random.default_rng(0)
    columns = np.tile(np.arange(200, dtype="uint8"), (100, 1))
    image = Image.fromarray(np.stack([columns] * 3, -1))
    for _ in range(50):
        pixels = np.asarray(random_resized_crop(image, 16, (0.5, 1.0), (0.9, 1.1), rng))
        assert pixels.shape == (16, 16, 3)
        # A crop of half to all of 200 x 100 that is nearly square shows 94 to 105 columns.
        assert 70 <= int(pixels[0, -1, 0]) - int(pixels[0, 0, 0]) <= 105
    thin = Image.new("RGB", (1, 400))
    assert random_resized_crop(thin, 16, (0.5, 1.0), (0.9, 1.1), rng).size == (16, 16)


def test_the_magnitude_0_changes_no_geometry():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), "uint8"))
    for operation in OPERATIONS[:9]:
        np.testing.assert_array_equal(np.asarray(operation(image, 0.0)), np.asarray(image))
    assert rand_augment(image, 0, 1.0, np.random.default_rng(0)) is image


def batch(count=4, size=8):
    images = np.arange(count, dtype="float32")[:, None, None, None] * np.ones((1, size, size, 3))
    labels = np.eye(count, dtype="float32")
    return images.astype("float32"), labels


def test_mixup_blends_images_and_labels_alike():
    images, labels = mixup(batch(), 0.4, np.random.default_rng(0))
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(images[:, 0, 0, 0], labels @ np.arange(4), rtol=1e-5)


def test_cutmix_blends_labels_by_area():
    for seed in range(20):
        images, labels = cutmix(batch(), 1.0, np.random.default_rng(seed))
        for i in range(4):
            shown = [(images[i] == value).mean() for value in range(4)]
            np.testing.assert_allclose(labels[i], shown, atol=1e-6)


def test_random_erasing_fills_a_rectangle_with_one_color():
    for seed in range(20):
        pixels = np.zeros((40, 40, 3), "int16") - 1
        random_erase(pixels, np.random.default_rng(seed))
        rows, columns = np.nonzero(pixels[..., 0] >= 0)
        erased = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (erased == erased[0, 0]).all()
        assert 0.01 < len(rows) / 1600 < 0.27
