"""Changes of photos with boxes, and the batches that a detector is trained with.

Photos are black with rectangles of pure colors, so that the pixels tell where a box must be.
"""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import training_batches
from cspdarknet.data.detection.augment import (
    DetectionAugmentation,
    DetectionSample,
    centered_affine,
    color_matrix,
    cut,
    flip,
    flip_vertically,
    jitter_colors,
    mixup,
    mosaic,
    padded,
    warp,
)
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.detection.source import DetectionSource, ImageCache, read_fitted

pytestmark = pytest.mark.one_backend

OFF = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)


def photo_of(*boxes, size=(64, 64), channel=0):
    """A black photo, width x height, with filled boxes of one channel; box i has label i."""
    image = np.zeros((size[1], size[0], 3), "uint8")
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right, channel] = 255
    return DetectionSample(image, np.array(boxes, "float32").reshape(-1, 4), np.arange(len(boxes)))


def seen_box(image, channel=0):
    """Left, top, right and bottom of what is bright in a channel."""
    rows, columns = np.nonzero(image[..., channel] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_flips_take_the_boxes_along():
    photo = photo_of((3, 5, 20, 40), size=(50, 60))
    for change, expected in ((flip, [30, 5, 47, 40]), (flip_vertically, [3, 20, 20, 55])):
        changed = change(photo)
        np.testing.assert_array_equal(changed.boxes, [expected])
        assert seen_box(changed.image) == expected
    np.testing.assert_array_equal(photo.boxes, [[3, 5, 20, 40]])


def test_a_mosaic_puts_four_photos_around_a_point():
    photos = [photo_of((10, 10, 30, 20), size=(64, 48)) for _ in range(4)]
    canvas = mosaic(photos, 64, 50, 70)
    assert canvas.image.shape == (128, 128, 3)
    # The photos reach from the point (50, 70) to the left and up, right and up, and so on. Of the
    # left ones 14 columns are cut off, with 4 columns of their boxes.
    expected = [[0, 32, 16, 42], [60, 32, 80, 42], [0, 80, 16, 90], [60, 80, 80, 90]]
    np.testing.assert_array_equal(canvas.boxes, expected)
    white = np.zeros((128, 128), bool)
    for left, top, right, bottom in expected:
        white[top:bottom, left:right] = True
    np.testing.assert_array_equal(canvas.image[..., 0] == 255, white)
    assert (canvas.image[:22] == 114).all()
    assert (canvas.image[118:] == 114).all()


def test_the_middle_of_a_mosaic_is_kept():
    photos = [photo_of((20, 20, 44, 44))] * 4
    canvas = mosaic(photos, 64, 64, 64)
    matrix = centered_affine(0, 1, np.zeros(2), 64, np.array([32, 32]))
    shown = warp(canvas, 64, matrix, 114)
    np.testing.assert_array_equal(shown.image, canvas.image[32:96, 32:96])
    np.testing.assert_array_equal(shown.boxes[0], [0, 0, 12, 12])


@pytest.mark.parametrize("seed", range(8))
def test_a_warp_moves_boxes_with_their_pixels(seed):
    rng = np.random.default_rng(seed)
    photo = photo_of((40, 50, 80, 76), size=(128, 128))
    scale, angle = rng.uniform(0.6, 1.1), rng.uniform(-180, 180)
    matrix = centered_affine(angle, scale, rng.uniform(-10, 10, 2), 64, rng.uniform(28, 36, 2) * 2)
    warped = warp(photo, 128, matrix, 0)
    np.testing.assert_allclose(warped.boxes[0], seen_box(warped.image), atol=1.5)


def test_a_turn_by_a_right_angle_is_counter_clockwise():
    photo = photo_of((8, 4, 24, 12))
    turned = warp(photo, 64, centered_affine(90, 1, np.zeros(2), 32, np.array([32, 32])), 0)
    np.testing.assert_allclose(turned.image, np.rot90(photo.image).astype(int), atol=1)
    np.testing.assert_allclose(turned.boxes, [[4, 40, 12, 56]], atol=1e-4)


def test_boxes_of_which_little_is_left_are_dropped():
    boxes = [
        (-8, 0, 12, 10),  # 60 % of it is left
        (-17, 0, 3, 10),  # 15 %
        (97, 0, 99.5, 10),  # small, but all of it
        (97, 0, 99, 10),  # two pixels wide
        (0, 0, 90, 4),  # 22 times as long as wide
        (0, 0, 76, 4),
    ]
    boxes = np.array(boxes, "float32")
    kept, labels = cut(boxes, np.arange(6), (boxes[:, 2:] - boxes[:, :2]).prod(1), (50, 100))
    assert labels.tolist() == [0, 2, 5]
    np.testing.assert_array_equal(kept[0], [0, 0, 12, 10])


def test_a_share_is_counted_of_the_scaled_box():
    small = warp(photo_of((20, 20, 40, 40)), 64, np.diag([0.25, 0.25, 1]), 0)
    np.testing.assert_array_equal(small.boxes, [[5, 5, 10, 10]])


@pytest.mark.parametrize("seed", range(6))
def test_mixup_shows_both_photos_at_half_strength(seed):
    red, green = photo_of((8, 8, 40, 40)), photo_of((20, 24, 52, 40), channel=1)
    mixed = mixup(red, green, (0.5, 1.5), np.random.default_rng(seed))
    np.testing.assert_array_equal(mixed.boxes[0], [8, 8, 40, 40])
    assert mixed.image[..., :2].max() == 127
    assert seen_box(2 * mixed.image) == [8, 8, 40, 40]
    np.testing.assert_allclose(mixed.boxes[1], seen_box(2 * mixed.image, 1), atol=1)


def test_colors_turn_around_gray():
    np.testing.assert_allclose(color_matrix(0, 1), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(color_matrix(120, 1) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(color_matrix(77, 2.5) @ [1, 1, 1], [1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(color_matrix(0, 0) @ [0.9, 0.3, 0], [0.4] * 3, atol=1e-12)


def test_each_shift_of_colors_is_applied_to_half_of_the_photos():
    image = np.full((2, 2, 3), (200, 100, 60), "uint8")
    rng = np.random.default_rng(0)
    for strength in ((60, 0, 0), (0, 60, 0), (0, 0, 60)):
        changed = [(jitter_colors(image, strength, rng) != image).any() for _ in range(400)]
        assert 0.4 < np.mean(changed) < 0.6
    values = [int(jitter_colors(image, (0, 0, 30), rng)[0, 0, 1]) for _ in range(200)]
    assert 70 <= min(values) < 80
    assert 120 < max(values) <= 130


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
def test_augmentations_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must"):
        DetectionAugmentation(**wrong)


def test_the_gentle_kind_neither_mixes_nor_warps():
    photo = photo_of((8, 8, 40, 40), size=(64, 48))

    def partner():
        raise AssertionError("asked for another photo")

    no_mixing = DetectionAugmentation(mixup=1.0, hsv=(0, 0, 0), flip=0).no_mixing
    shown = no_mixing.photo(photo, partner, 64, np.random.default_rng(0))
    np.testing.assert_array_equal(shown.image, padded(photo, 64).image)
    np.testing.assert_array_equal(shown.boxes, photo.boxes)
    assert (shown.image[48:] == 114).all()


# Batches.


def write_photos(folder, count=6):
    """Photos of several sizes, with one to three red boxes each, the last of them ignored."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    paths, boxes, labels, ignored = [], [], [], []
    for i in range(count):
        width, height = 70 + 10 * i, 90
        corners = rng.integers(0, 40, (1 + i % 3, 2))
        found = np.concatenate([corners, corners + rng.integers(12, 30, corners.shape)], 1)
        image = photo_of(*found, size=(width, height)).image
        paths.append(folder / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
        boxes.append(found.astype("float32"))
        labels.append(np.arange(len(found)))
        ignored.append(np.arange(len(found)) == 2)
    return DetectionDataset(("a", "b", "c"), *map(tuple, (paths, boxes, labels, ignored)))


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos")


def assert_same(batches, others):
    for batch, other in zip(batches, others, strict=True):
        np.testing.assert_array_equal(batch[0], other[0])
        for name in ("boxes", "classes"):
            np.testing.assert_array_equal(batch[1][name], other[1][name])
        np.testing.assert_array_equal(batch[2], other[2])


STRONG = DetectionAugmentation(mixup=0.5, flip_vertical=0.3, multi_scale=(0.5, 2.0))


def test_a_plain_batch_shows_the_photos_as_a_detector_sees_them(photos):
    source = DetectionSource(photos, OFF, batch_size=6, max_boxes=5)
    ((images, targets, weights),) = training_batches(source, 64, 0, 1)
    assert (images.shape, images.dtype) == ((6, 64, 64, 3), np.float32)
    assert (targets["boxes"].shape, targets["classes"].shape) == ((6, 5, 4), (6, 5))
    assert targets["boxes"].dtype == targets["classes"].dtype == np.float32
    np.testing.assert_array_equal(weights, np.ones(6))
    shown = {}
    for image, boxes, classes in zip(images, targets["boxes"], targets["classes"], strict=True):
        (i,) = [
            i
            for i, path in enumerate(photos.paths)
            if (
                padded(DetectionSample(read_fitted(path, 64)[0], None, None), 64).image == image
            ).all()
        ]
        kept = ~photos.ignored[i]
        ratio = 64 / max(Image.open(photos.paths[i]).size)
        order = np.argsort(classes[classes >= 0])
        np.testing.assert_array_equal(classes[classes >= 0][order], photos.labels[i][kept])
        np.testing.assert_allclose(boxes[classes >= 0][order], photos.boxes[i][kept] * ratio)
        assert (boxes[classes < 0] == 0).all()
        shown[i] = True
    assert len(shown) == 6


def test_batches_are_the_same_whenever_they_are_asked_for(photos):
    source = DetectionSource(photos, STRONG, batch_size=4, seed=3, workers=3)
    whole = list(training_batches(source, 64, 0, 6))
    for cache in (ImageCache(), ImageCache(0), ImageCache(40_000)):
        again = replace(source, cache=cache, workers=1)
        assert_same(whole[4:], training_batches(again, 64, 4, 2))
    other = list(training_batches(replace(source, seed=4), 64, 0, 1))
    assert not np.array_equal(other[0][1]["boxes"], whole[0][1]["boxes"])


def test_sizes_of_batches_are_multiples_of_32_and_boxes_keep_up(photos):
    fixed = DetectionSource(photos, OFF, batch_size=3, seed=5)
    varied = replace(fixed, augmentation=replace(OFF, multi_scale=(0.5, 2.0)))
    pairs = zip(
        training_batches(fixed, 64, 0, 30), training_batches(varied, 64, 0, 30), strict=True
    )
    sides = set()
    for plain, scaled in pairs:
        side = scaled[0].shape[1]
        assert scaled[0].shape == (3, side, side, 3)
        np.testing.assert_allclose(scaled[1]["boxes"], plain[1]["boxes"] * side / 64, rtol=1e-6)
        sides.add(side)
    assert sides == {32, 64, 96, 128}


def test_processes_share_each_batch_and_its_size(photos):
    source = DetectionSource(photos, STRONG, batch_size=4, seed=3)
    shares = [replace(source, process=(i, 2)) for i in (0, 1)]
    whole = list(training_batches(source, 64, 0, 4))
    parts = [list(training_batches(share, 64, 0, 4)) for share in shares]
    for expected, *found in zip(whole, *parts, strict=True):
        for i, part in enumerate(found):
            np.testing.assert_array_equal(expected[0][i::2], part[0])
            np.testing.assert_array_equal(expected[1]["boxes"][i::2], part[1]["boxes"])


def test_of_too_many_boxes_the_largest_are_kept(photos):
    source = DetectionSource(photos, OFF, batch_size=1, max_boxes=1)
    for i in range(6):
        _, boxes, labels, _ = source.load(i, 64, np.random.default_rng(0))
        kept = photos.boxes[i][~photos.ignored[i]]
        areas = (kept[:, 2:] - kept[:, :2]).prod(1)
        assert labels.tolist() == [areas.argmax()]
        assert boxes.shape == (1, 4)


def test_a_photo_that_breaks_during_the_training_weighs_nothing(photos):
    photos.paths[2].write_bytes(b"")
    source = DetectionSource(photos, OFF, batch_size=6)
    ((images, targets, weights),) = training_batches(source, 64, 0, 1)
    assert (weights == 0).sum() == 1
    assert (images[weights == 0] == 114).all()
    assert (targets["classes"][weights == 0] == -1).all()
    assert list(source.failures) == [photos.paths[2]]
    mosaics = replace(source, augmentation=DetectionAugmentation(), failures={})
    weights = np.concatenate([batch[2] for batch in training_batches(mosaics, 64, 0, 4)])
    assert (weights == 0).sum() == 4  # once in each pass; as a partner it only leaves a gap
    assert list(mosaics.failures) == [photos.paths[2]]


def test_photos_without_boxes_are_shown(photos):
    none = tuple(np.zeros((0, 4), "float32") for _ in photos.paths)
    empty = tuple(np.zeros(0, "int64") for _ in photos.paths)
    bare = DetectionDataset(
        photos.class_names, photos.paths, none, empty, tuple(e.astype(bool) for e in empty)
    )
    source = DetectionSource(bare, DetectionAugmentation(mixup=1.0), batch_size=6)
    ((images, targets, weights),) = training_batches(source, 64, 0, 1)
    assert (weights == 1).all()
    assert (targets["classes"] == -1).all()
    assert images.std() > 0


@pytest.mark.parametrize("seed", range(3))
def test_boxes_of_strong_changes_hold_something_red(photos, seed):
    strong = replace(STRONG, hsv=(0, 0, 0), multi_scale=(1, 1), mosaic_scale=(0.8, 1.2))
    source = DetectionSource(photos, strong, batch_size=6, seed=seed)
    ((images, targets, _),) = training_batches(source, 64, 0, 1)
    checked = 0
    for image, boxes, classes in zip(images, targets["boxes"], targets["classes"], strict=True):
        for left, top, right, bottom in boxes[classes >= 0]:
            inside = image[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
            red = inside[..., 0] - inside[..., 1:].max(axis=-1) > 50
            assert red.mean() > 0.5
            checked += 1
    assert checked > 10


def test_the_cache_holds_photos_of_one_size_up_to_its_room(photos):
    reads = []

    def read(path, size):
        reads.append((path, size))
        return read_fitted(path, size)

    cache = ImageCache(3 * 64 * 64 * 3)
    for size in (64, 64, 32, 32):
        for path in photos.paths:
            image, _ = cache.get(path, size, read)
            assert max(image.shape) == size
    sizes = [size for _, size in reads]
    assert 6 < sizes.count(64) < 12  # there is room for some of them
    assert sizes.count(32) == 6
