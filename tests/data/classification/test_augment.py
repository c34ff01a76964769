"""Random augmentation for classification."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import ClassificationAugmentation

pytestmark = pytest.mark.one_backend

OFF = {"crop_area": (1, 1), "crop_aspect": (1, 1), "rand_augment": 0, "flip": 0, "erase": 0}


def ramp(size=16):
    """An image that is brighter to the right."""
    columns = np.tile(np.arange(size, dtype="uint8") * 10, (size, 1))
    return Image.fromarray(np.stack([columns] * 3, -1))


def test_a_change_that_is_switched_off_does_nothing():
    rng = np.random.default_rng(0)
    sample = ClassificationAugmentation(**OFF).sample(ramp(), 16, rng)
    np.testing.assert_array_equal(sample, np.asarray(ramp()))
    flipped = ClassificationAugmentation(**OFF | {"flip": 1}).sample(ramp(), 16, rng)
    np.testing.assert_array_equal(flipped, np.asarray(ramp())[:, ::-1])
    erased = ClassificationAugmentation(**OFF | {"erase": 1}).sample(ramp(), 16, rng)
    assert (erased != np.asarray(ramp())).any()


@pytest.mark.parametrize(("alphas", "values"), [((0.4, 0), "blended"), ((0, 1.0), "pasted")])
def test_batches_are_mixed_by_the_one_that_is_on(alphas, values):
    images = np.arange(8, dtype="float32")[:, None, None, None] * np.ones((1, 8, 8, 3), "float32")
    augmentation = ClassificationAugmentation(
        mix=1.0, mixup_alpha=alphas[0], cutmix_alpha=alphas[1]
    )
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mixed, labels = augmentation.batch((images, np.eye(8, dtype="float32")), rng)
        is_whole = np.isin(mixed, np.arange(8)).all()
        assert is_whole == (values == "pasted")
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
        unmixed = augmentation.no_mixing.batch((images, labels), rng)
        assert unmixed[0] is images


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_area": (0.0, 1.0)},
        {"crop_area": (0.8, 0.5)},
        {"crop_aspect": (2.0, 1.0)},
        {"flip": 2},
        {"rand_augment": -1},
        {"mixup_alpha": -1},
        {"mix": 0.5, "mixup_alpha": 0, "cutmix_alpha": 0},
    ],
)
def test_values_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}|mix=0.5"):
        ClassificationAugmentation(**wrong)
