"""Copy-paste augmentation of boxes."""

import numpy as np
import pytest

from cspdarknet.data import DetectionAugmentation, DetectionSample
from cspdarknet.data.detection import copy_paste as module
from cspdarknet.data.detection.copy_paste import MAX_COVERED, copy_paste
from detection_samples import sample_of, seen_box

pytestmark = pytest.mark.one_backend


@pytest.fixture
def all_objects(monkeypatch):
    """All objects are pasted, at their own size."""
    monkeypatch.setattr(module, "PASTED", 1.1)
    monkeypatch.setattr(module, "SCALES", (1.0, 1.0))


def covered_fraction(box, pasted):
    """The fraction of a box that pasted rectangles cover together."""
    mask = np.zeros((200, 200), bool)
    for left, top, right, bottom in pasted.astype(int):
        mask[top:bottom, left:right] = True
    left, top, right, bottom = box.astype(int)
    return mask[top:bottom, left:right].mean()


@pytest.mark.usefixtures("all_objects")
def test_a_box_is_where_its_pixels_are():
    empty = sample_of(size=(90, 70))
    other = sample_of((4, 6, 34, 26))._replace(labels=np.array([5], "int32"))
    pasted = copy_paste(empty, other, np.random.default_rng(0))
    assert pasted.boxes.tolist() == [seen_box(pasted.image)]
    assert (pasted.boxes[0, 2:] - pasted.boxes[0, :2]).tolist() == [30, 20]
    assert pasted.labels.tolist() == [5]
    assert pasted.labels.dtype == np.int32
    assert pasted.boxes.dtype == np.float32
    assert not empty.image.any()  # it may be cached


def test_objects_are_scaled_flipped_and_chosen_at_random():
    other = sample_of((4, 6, 34, 26))
    other.image[6:26, 4:19] = 200  # the left half is gray
    counts, sides, grays = [], set(), set()
    for seed in range(40):
        pasted = copy_paste(sample_of(size=(90, 90)), other, np.random.default_rng(seed))
        counts.append(len(pasted.boxes))
        for left, top, right, bottom in pasted.boxes.astype(int):
            sides.add(right - left)
            grays.add(int(pasted.image[(top + bottom) // 2, left + 1, 1]))
    assert 8 < sum(counts) < 32
    assert len(sides) > 5
    assert 15 <= min(sides) <= max(sides) <= 45
    assert grays == {0, 200}


@pytest.mark.usefixtures("all_objects")
def test_no_box_is_hidden():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 160, (12, 2))
    boxes = np.concatenate([low, low + rng.integers(10, 40, (12, 2))], axis=1)
    sample, other = (sample_of(*part, size=(200, 200)) for part in (boxes[:6], boxes))
    added, most = 0, 0.0
    for seed in range(30):
        pasted = copy_paste(sample, other, np.random.default_rng(seed))
        np.testing.assert_array_equal(pasted.boxes[:6], sample.boxes)
        new = pasted.boxes[6:]
        added += len(new)
        most = max(most, *(covered_fraction(box, new) for box in sample.boxes))
    assert added > 60
    assert 0.05 < most <= MAX_COVERED + 0.02


@pytest.mark.usefixtures("all_objects")
def test_nothing_is_pasted_where_an_object_fills_the_image():
    full, other = sample_of((0, 0, 64, 64)), sample_of((0, 0, 60, 60))
    pasted = copy_paste(full, other, np.random.default_rng(0))
    np.testing.assert_array_equal(pasted.image, full.image)
    assert len(pasted.boxes) == 1


@pytest.mark.usefixtures("all_objects")
def test_objects_inside_a_crop_get_their_boxes():
    other = sample_of((10, 10, 50, 50), (20, 20, 30, 30), (45, 45, 64, 64))
    found = set()
    for seed in range(20):
        pasted = copy_paste(sample_of(size=(300, 300)), other, np.random.default_rng(seed))
        assert pasted.labels[0] in (0, 1, 2)
        found.add(tuple(sorted(pasted.labels.tolist())))
    # The third object is hardly visible in the crop of the first one.
    assert (0, 1, 1, 2) in found


@pytest.mark.parametrize("box", [(-5, -5, 3, 3), (60, 60, 70, 64), (10, 10, 11, 40)])
@pytest.mark.usefixtures("all_objects")
def test_objects_that_are_hardly_in_their_image(box):
    other = sample_of((0, 0, 1, 1))._replace(boxes=np.array([box], "float32"))
    for size in ((64, 64), (3, 90)):
        pasted = copy_paste(sample_of(size=size), other, np.random.default_rng(0))
        assert np.isfinite(pasted.boxes).all()
        assert pasted.image.shape == (size[1], size[0], 3)


@pytest.mark.usefixtures("all_objects")
def test_images_of_other_channels_and_values():
    image = np.full((40, 40, 5), 12.25, "float32")
    box, label = np.array([[5, 5, 20, 20]], "float32"), np.array([0], "int32")
    for target in (np.zeros((64, 64, 5), "uint8"), np.zeros((64, 64, 5), "float32")):
        empty = DetectionSample(target, box[:0], label[:0])
        pasted = copy_paste(empty, DetectionSample(image, box, label), np.random.default_rng(0))
        assert pasted.image.dtype == np.float32
        assert pasted.image.max() == 12.25


def test_it_is_part_of_the_mixing():
    sample, other = sample_of(size=(64, 64)), sample_of((4, 4, 24, 24), (40, 40, 60, 60))
    augmentation = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0, copy_paste=1)
    asked = []

    def partner():
        asked.append(1)
        return other

    changed = augmentation.sample(sample, partner, 64, np.random.default_rng(1))
    assert len(asked) == 1
    assert len(changed.boxes) > 0
    plain = augmentation.no_mixing.sample(sample, partner, 64, np.random.default_rng(1))
    assert len(asked) == 1
    assert not plain.image.any()


def test_nothing_is_drawn_without_it():
    """Runs that began before it was there continue with the same batches."""
    generators = [np.random.default_rng(3), np.random.default_rng(3)]
    sample = sample_of((8, 8, 40, 40))
    augmentation = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)
    augmentation.sample(sample, lambda: sample, 64, generators[0])
    generators[1].random()
    generators[1].uniform(-1, 1, 3)
    generators[1].integers(0, 2, 3)
    generators[1].random()
    generators[1].random()
    assert generators[0].random() == generators[1].random()


def test_a_bad_probability():
    with pytest.raises(ValueError, match=r"copy_paste.*1\.5"):
        DetectionAugmentation(copy_paste=1.5)
