"""Tiles of training images: the boxes that are visible, backgrounds in proportion, one decoding."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import DetectionAugmentation, DetectionDataset, DetectionSource
from cspdarknet.data.detection import source as source_module
from cspdarknet.data.detection.tiles import tiled_dataset
from cspdarknet.data.disk_cache import DiskCache
from cspdarknet.tiles import Tiles
from detection_samples import sample_of

pytestmark = pytest.mark.one_backend
OFF = DetectionAugmentation(mosaic=0, hsv=(0, 0, 0), flip=0)
TILES = Tiles(64, 0.25)


def dataset_of(folder, *images):
    """A dataset of images `(width, height, boxes)`, whose boxes are red."""
    paths, boxes = [], []
    for i, (width, height, rectangles) in enumerate(images):
        pixels = sample_of(*rectangles, size=(width, height)).image
        paths.append(folder / f"{i}.png")
        Image.fromarray(pixels).save(paths[-1])
        boxes.append(np.array(rectangles, "float32").reshape(-1, 4))
    labels = tuple(np.arange(len(b), dtype="int32") for b in boxes)
    ignored = tuple(np.zeros(len(b), bool) for b in boxes)
    return DetectionDataset(("a", "b", "c"), tuple(paths), tuple(boxes), labels, ignored)


def test_boxes_that_are_visible_enough_are_kept(tmp_path):
    # Tiles at 0..64 and 36..100. The first box is in both, the others mostly in one of them.
    rows = [(40, 0, 60, 20), (20, 30, 40, 50), (61, 30, 81, 50)]
    tiled = tiled_dataset(dataset_of(tmp_path, (100, 60, rows)), TILES)
    assert [tuple(window) for window in tiled.windows] == [(0, 0, 64, 60), (36, 0, 100, 60)]
    assert tiled.boxes[0].tolist() == [[40, 0, 60, 20], [20, 30, 40, 50]]  # 3 of 20 pixels: no
    assert tiled.boxes[1].tolist() == [[4, 0, 24, 20], [25, 30, 45, 50]]  # 4 of 20: not more
    assert [labels.tolist() for labels in tiled.labels] == [[0, 1], [0, 2]]


def test_uncut_boxes_are_kept_however_thin(tmp_path):
    tiled = tiled_dataset(dataset_of(tmp_path, (100, 60, [(1, 5, 30, 6)])), TILES)
    assert tiled.boxes[0].tolist() == [[1, 5, 30, 6]]


def test_an_image_that_fits_is_as_without_tiles(tmp_path):
    dataset = dataset_of(tmp_path, (60, 50, [(5, 5, 20, 20)]), (64, 64, []))
    tiled = tiled_dataset(dataset, Tiles(64, 0.25, with_whole=True))
    assert tiled.paths == dataset.paths
    for boxes, expected in zip(tiled.boxes, dataset.boxes, strict=True):
        np.testing.assert_array_equal(boxes, expected)


def test_tiles_without_boxes_are_kept_in_proportion(tmp_path):
    box = [(2, 2, 20, 20)]
    dataset = dataset_of(tmp_path, (256, 60, box), (256, 256, box), (512, 512, []), (60, 60, []))
    tiled = tiled_dataset(dataset, TILES)
    counts = np.array([len(boxes) for boxes in tiled.boxes])
    assert (counts > 0).sum() == (counts == 0).sum() == 2
    only_background = tiled_dataset(dataset.take([3]), TILES)
    assert len(only_background) == 1
    assert tiled.fingerprint == tiled_dataset(dataset, TILES).fingerprint
    assert tiled.fingerprint != tiled_dataset(dataset, Tiles(64, 0.5)).fingerprint


def test_the_whole_image_is_a_tile_of_its_own(tmp_path):
    rows = [(10, 0, 90, 50)]
    tiled = tiled_dataset(dataset_of(tmp_path, (100, 60, rows)), Tiles(64, 0.25, with_whole=True))
    assert tuple(tiled.windows[-1]) == (0, 0, 100, 60)
    assert tiled.boxes[-1].tolist() == [[10, 0, 90, 50]]


@pytest.mark.parametrize("cache", ["memory", "none", "disk"])
def test_boxes_are_where_the_pixels_are_and_images_are_decoded_once(tmp_path, monkeypatch, cache):
    rows = [(5, 5, 25, 25), (50, 10, 90, 40), (150, 60, 180, 100), (10, 80, 40, 110)]
    rng, reads, original = np.random.default_rng(0), [], source_module.pixels_of
    tiled = tiled_dataset(dataset_of(tmp_path, (190, 120, rows)), TILES)
    monkeypatch.setattr(source_module, "pixels_of", lambda p, n: reads.append(p) or original(p, n))
    disk = DiskCache(tmp_path / "cache", reserve=0) if cache == "disk" else None
    capacity = 10**9 if cache == "memory" else 0
    source = DetectionSource(
        tiled, OFF, 1, disk_cache=disk, cache=source_module.ImageCache(capacity)
    )
    for i in range(len(tiled)):
        image, boxes, labels, weight = source.load(i, 128, rng)
        assert weight == 1
        assert (labels >= 0).sum() == len(tiled.boxes[i])
        for x1, y1, x2, y2 in boxes[labels >= 0].astype(int):
            inside = image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
            assert (inside[..., 0] > 200).all()
            assert (inside[..., 1] < 60).all()
    assert len(reads) == (len(tiled) if cache == "none" else 1)
