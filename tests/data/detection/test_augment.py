"""Random augmentation for detection."""

import numpy as np
import pytest

from cspdarknet.data import DetectionAugmentation
from cspdarknet.data.detection.transforms import flip_horizontal, flip_vertical, pad
from detection_samples import sample_of

pytestmark = pytest.mark.one_backend

OFF = {"mosaic": 0, "hsv": (0, 0, 0), "flip": 0}


def no_partner():
    raise AssertionError("asked for another image")


def test_a_change_that_is_switched_off_does_nothing():
    sample = sample_of((8, 8, 40, 40), size=(64, 48))
    for changes, expected in (
        ({}, sample),
        ({"flip": 1}, flip_horizontal(sample)),
        ({"flip_vertical": 1}, flip_vertical(sample)),
    ):
        augmentation = DetectionAugmentation(**OFF | changes)
        changed = augmentation.sample(sample, no_partner, 64, np.random.default_rng(0))
        np.testing.assert_array_equal(changed.image, pad(expected, 64).image)
        np.testing.assert_array_equal(changed.boxes, expected.boxes)
    assert (changed.image[48:] == 114).all()


def test_no_mixing_neither_mixes_nor_warps():
    sample = sample_of((8, 8, 40, 40))
    augmentation = DetectionAugmentation(mixup=1.0, hsv=(0, 0, 0), flip=0).no_mixing
    changed = augmentation.sample(sample, no_partner, 64, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.image, sample.image)
    np.testing.assert_array_equal(changed.boxes, sample.boxes)


def test_an_image_without_mosaic_is_shifted():
    sample, rng = sample_of((8, 8, 40, 40), size=(64, 48)), np.random.default_rng(0)
    augmentation = DetectionAugmentation(**OFF, shift=1, translate=0.25)
    offsets = set()
    for _ in range(40):
        changed = augmentation.sample(sample, no_partner, 64, rng)
        assert changed.image.shape == (64, 64, 3)
        ((left, top, right, bottom),) = changed.boxes.astype(int)
        if (right - left, bottom - top) != (32, 32):
            continue  # a border cuts the object
        offsets.add((left - 8, top - 8))
        box = changed.image[top:bottom, left:right]
        np.testing.assert_array_equal(box, sample.image[8:40, 8:40])
    x, y = np.array(sorted(offsets)).T
    # The image has no room beside it, and 16 pixels above or below; a quarter of 64 is beyond.
    assert x.min() < -4
    assert 4 < x.max() <= 16
    assert y.min() < -4
    assert 16 < y.max() <= 32
    assert augmentation.no_mixing.shift == 1


def test_a_mosaic_has_four_images_and_mixup_one_more():
    sample, asked = sample_of((16, 16, 48, 48)), []

    def partner():
        asked.append(1)
        return sample

    halved = {"mosaic_scale": (0.5, 0.5), "degrees": 0, "shear": 0, "translate": 0}
    for mixup, count in ((0, 3), (1, 4)):
        augmentation = DetectionAugmentation(**halved, mixup=mixup, mixup_scale=(1, 1))
        changed = augmentation.sample(sample, partner, 64, np.random.default_rng(0))
        assert len(asked) == count
        asked.clear()
        sides = changed.boxes[:, 2:] - changed.boxes[:, :2]
        # The mosaic is at half the size, with some boxes cut off; MixUp's image has its full size.
        in_mosaic, added = sides[: len(sides) - mixup], sides[len(sides) - mixup :]
        assert 1 <= len(in_mosaic) <= 4
        assert in_mosaic.max() == 16
        assert added.tolist() == [[32, 32]] * mixup


def test_image_sizes_are_multiples_of_32_in_the_range():
    rng = np.random.default_rng(0)
    augmentation = DetectionAugmentation(multi_scale=(0.5, 2.0))
    assert {augmentation.image_size(64, rng) for _ in range(100)} == {32, 64, 96, 128}
    assert DetectionAugmentation().image_size(100, rng) == 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"mosaic": 1.1},
        {"flip": -0.1},
        {"flip_vertical": 2},
        {"mixup": 3},
        {"mosaic_scale": (1.5, 0.5)},
        {"mixup_scale": (0, 1)},
        {"multi_scale": (1, 2, 3)},
        {"degrees": 200},
        {"shear": -1},
        {"translate": 1.5},
        {"hsv": (5, 30)},
    ],
)
def test_values_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must"):
        DetectionAugmentation(**wrong)


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_rectangles(size):
    sample = sample_of((8, 8, 40, 40), size=(64, 64))
    augmentation = DetectionAugmentation(mosaic=1, mixup=1, mosaic_scale=(0.9, 1.1))
    for seed in range(5):
        changed = augmentation.sample(sample, lambda: sample, size, np.random.default_rng(seed))
        assert changed.image.shape == (*size, 3)
        if len(changed.boxes):
            assert changed.boxes[:, [0, 2]].max() <= size[1]
            assert changed.boxes[:, [1, 3]].max() <= size[0]


def test_multi_scale_keeps_the_ratio_of_the_sides():
    augmentation, rng = DetectionAugmentation(multi_scale=(0.5, 1.5)), np.random.default_rng(0)
    sizes = {augmentation.image_size((192, 320), rng) for _ in range(200)}
    assert sizes == {(32 * n, 32 * round(n * 5 / 3)) for n in range(3, 10)}
    assert DetectionAugmentation().image_size((192, 320), rng) == (192, 320)
