"""Training batches for object detection."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import (
    DetectionAugmentation,
    DetectionDataset,
    DetectionSource,
    training_batches,
)
from cspdarknet.data.detection.source import ImageCache, resized_part
from cspdarknet.images import read_image
from cspdarknet.yolox.letterbox import letterbox
from detection_samples import sample_of

pytestmark = pytest.mark.one_backend

OFF = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)
STRONG = DetectionAugmentation(mixup=0.5, flip_vertical=0.3, multi_scale=(0.5, 2.0))


def write_dataset(folder, count=6):
    """Images of several sizes, with one to three red boxes each; the third one is ignored."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    paths, boxes, labels, ignored = [], [], [], []
    for i in range(count):
        width, height = 70 + 10 * i, 90
        corners = rng.integers(0, 40, (1 + i % 3, 2))
        rectangles = np.concatenate([corners, corners + rng.integers(12, 30, corners.shape)], 1)
        image = sample_of(*rectangles, size=(width, height)).image
        paths.append(folder / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
        boxes.append(rectangles.astype("float32"))
        labels.append(np.arange(len(rectangles), dtype="int32"))
        ignored.append(np.arange(len(rectangles)) == 2)
    return DetectionDataset(("a", "b", "c"), *map(tuple, (paths, boxes, labels, ignored)))


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "images")


def test_a_plain_batch_has_the_images_as_a_detector_receives_them(dataset):
    source = DetectionSource(dataset, OFF, batch_size=6, max_boxes=5)
    ((images, targets, weights),) = training_batches(source, 64, 0, 1)
    assert (images.shape, images.dtype) == ((6, 64, 64, 3), np.float32)
    assert (targets["boxes"].shape, targets["classes"].shape) == ((6, 5, 4), (6, 5))
    np.testing.assert_array_equal(weights, np.ones(6))
    squares = [letterbox(read_image(path), 64) for path in dataset.paths]
    indices = []
    for image, boxes, classes in zip(images, targets["boxes"], targets["classes"], strict=True):
        (i,) = [i for i, (square, _) in enumerate(squares) if (square == image).all()]
        kept = ~dataset.ignored[i]
        order = np.argsort(classes[classes >= 0])
        np.testing.assert_array_equal(classes[classes >= 0][order], dataset.labels[i][kept])
        expected = dataset.boxes[i][kept] * squares[i][1]
        np.testing.assert_allclose(boxes[classes >= 0][order], expected, rtol=1e-6)
        assert (boxes[classes < 0] == 0).all()
        indices.append(i)
    assert sorted(indices) == list(range(6))


def test_class_ids_keep_their_type_from_the_annotation_to_the_batch(dataset):
    source = DetectionSource(dataset, STRONG, batch_size=2, max_boxes=5)
    sample = source.load(0, 64, np.random.default_rng(0))
    ((_, targets, _),) = training_batches(source, 64, 0, 1)
    assert dataset.labels[0].dtype == sample[2].dtype == targets["classes"].dtype == np.int32
    stacked = [np.stack([array] * 2) for array in sample]
    _, targets, _ = source.finish(tuple(stacked), np.random.default_rng(0))
    assert targets["classes"] is stacked[2]


@pytest.mark.parametrize("capacity", [0, 40_000])
def test_the_cache_does_not_change_batches(dataset, capacity):
    source = DetectionSource(dataset, STRONG, batch_size=4, seed=3, workers=3)
    limited = replace(source, cache=ImageCache(capacity))
    for expected, batch in zip(
        training_batches(source, 64, 0, 4), training_batches(limited, 64, 0, 4), strict=True
    ):
        np.testing.assert_array_equal(expected[0], batch[0])
        np.testing.assert_array_equal(expected[1]["boxes"], batch[1]["boxes"])


def test_boxes_are_scaled_to_the_image_size_of_their_batch(dataset):
    fixed = DetectionSource(dataset, OFF, batch_size=3, seed=5)
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


def test_of_too_many_boxes_the_largest_are_kept(dataset):
    source = DetectionSource(dataset, OFF, batch_size=1, max_boxes=1)
    for i in range(6):
        _, boxes, labels, _ = source.load(i, 64, np.random.default_rng(0))
        kept = dataset.boxes[i][~dataset.ignored[i]]
        areas = (kept[:, 2:] - kept[:, :2]).prod(1)
        assert labels.tolist() == [areas.argmax()]
        assert boxes.shape == (1, 4)


def test_an_image_that_breaks_during_training_has_no_weight(dataset):
    dataset.paths[2].write_bytes(b"")
    source = DetectionSource(dataset, OFF, batch_size=6)
    ((images, targets, weights),) = training_batches(source, 64, 0, 1)
    assert (weights == 0).sum() == 1
    assert (images[weights == 0] == 114).all()
    assert (targets["classes"][weights == 0] == -1).all()
    assert list(source.failures) == [dataset.paths[2]]
    mosaics = replace(source, augmentation=DetectionAugmentation(), failures={})
    weights = np.concatenate([batch[2] for batch in training_batches(mosaics, 64, 0, 4)])
    assert (weights == 0).sum() == 4  # once in each pass; as a partner it only leaves a gap
    assert list(mosaics.failures) == [dataset.paths[2]]


def test_images_without_boxes_are_trained_on(dataset):
    none = tuple(np.zeros((0, 4), "float32") for _ in dataset.paths)
    empty = tuple(np.zeros(0, "int32") for _ in dataset.paths)
    bare = DetectionDataset(
        dataset.class_names, dataset.paths, none, empty, tuple(e.astype(bool) for e in empty)
    )
    source = DetectionSource(bare, DetectionAugmentation(mixup=1.0), batch_size=6)
    ((images, targets, weights),) = training_batches(source, 64, 0, 1)
    assert (weights == 1).all()
    assert (targets["classes"] == -1).all()
    assert images.std() > 0


@pytest.mark.parametrize("seed", range(3))
def test_boxes_after_strong_changes_hold_red_pixels(dataset, seed):
    strong = replace(STRONG, hsv=(0, 0, 0), multi_scale=(1, 1), mosaic_scale=(0.8, 1.2))
    source = DetectionSource(dataset, strong, batch_size=6, seed=seed)
    ((images, targets, _),) = training_batches(source, 64, 0, 1)
    checked = 0
    for image, boxes, classes in zip(images, targets["boxes"], targets["classes"], strict=True):
        for left, top, right, bottom in boxes[classes >= 0]:
            inside = image[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
            red = inside[..., 0] - inside[..., 1:].max(axis=-1) > 50
            assert red.mean() > 0.5
            checked += 1
    assert checked > 10


def test_the_cache_holds_images_of_one_size_up_to_its_capacity(dataset):
    reads = []

    def read(part, size):
        reads.append((part, size))
        return resized_part(read_image(part[0]), None, size)

    cache = ImageCache(3 * 64 * 64 * 3)
    for size in (64, 64, 32, 32):
        for path in dataset.paths:
            image, _ = cache.get((path, None), size, read)
            assert max(image.shape) == size
    sizes = [size for _, size in reads]
    assert 6 < sizes.count(64) < 12  # there is room for some of them
    assert sizes.count(32) == 6
