"""The cache of decoded images on disk: the same batches, whole files, bounds, removal."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    DetectionAugmentation,
    DetectionSource,
    disk_cache,
    load_classification_dataset,
    load_detection_dataset,
    pack_dataset,
    training_batches,
)
from cspdarknet.data.disk_cache import DiskCache, clear_disk_cache, disk_cache_folder
from image_datasets import write_class_folders, write_yolo_dataset

pytestmark = pytest.mark.one_backend


class Reader:
    """Decodes nothing, and counts how often."""

    def __init__(self, value=7):
        self.pixels = np.full((3, 4, 3), value, "uint8")
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.pixels, 0.5


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


def classification_batches(data, cache):
    train = load_classification_dataset(data).train
    source = ClassificationSource(train, ClassificationAugmentation(), 4, disk_cache=cache)
    return [[images, labels] for images, labels, _ in training_batches(source, 32, 0, 4)]


def detection_batches(data, cache):
    train = load_detection_dataset(data).train
    source = DetectionSource(train, DetectionAugmentation(), 2, disk_cache=cache)
    return [[images, *t.values()] for images, t, _ in training_batches(source, 64, 0, 3)]


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    ("write", "batches_of", "decoder"),
    [
        (write_class_folders, classification_batches, "classification.source.open_image"),
        (write_yolo_dataset, detection_batches, "detection.source.pixels_of"),
    ],
)
def test_batches_are_the_same(tmp_path, monkeypatch, write, batches_of, decoder, is_packed):
    """The second time nothing is decoded, also by another process and after a break."""
    data = write(tmp_path / "data", 3)
    if is_packed:
        data = pack_dataset(data, tmp_path / "packed").path
    folder = tmp_path / "cache"
    expected, first = batches_of(data, None), batches_of(data, DiskCache(folder))
    monkeypatch.setattr(f"cspdarknet.data.{decoder}", None)
    second = batches_of(data, DiskCache(folder))
    for batches in (first, second):
        for before, after in zip(expected, batches, strict=True):
            assert all(map(np.array_equal, before, after))


def test_a_changed_file_or_setting_is_decoded_again(tmp_path, image):
    cache, read = DiskCache(tmp_path / "cache"), Reader()
    for _ in range(2):
        pixels, ratio = cache.get(image, "size 4", read)
        assert (pixels.tolist(), ratio) == (read.pixels.tolist(), 0.5)
    assert read.calls == 1
    cache.get(image, "size 5", read)
    image.write_bytes(image.read_bytes() + b" ")
    cache.get(image, "size 4", read)
    assert read.calls == 3


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:5], lambda b: b[:-1] + b"\0"])
def test_a_damaged_file_is_written_again(tmp_path, image, damage):
    cache, read = DiskCache(tmp_path / "cache"), Reader()
    cache.get(image, "", read)
    (file,) = (path for path in files_in(tmp_path / "cache") if path.suffix == ".rgb")
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert cache.get(image, "", read)[0].tolist() == read.pixels.tolist()
    assert (read.calls, file.read_bytes()) == (2, content)


def test_the_disk_is_not_filled(tmp_path, image, monkeypatch):
    cache, read = DiskCache(tmp_path / "cache", reserve=0.5), Reader()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=usage.total // 2))
    cache.get(image, "", read)
    assert files_in(tmp_path / "cache") == []


def test_a_failed_write_does_not_stop_a_training(tmp_path, image, monkeypatch):
    def fail(*_):
        raise OSError("read-only")

    monkeypatch.setattr(disk_cache, "temporary_folder", fail)
    cache, read = DiskCache(tmp_path / "cache"), Reader()
    for _ in range(2):
        assert cache.get(image, "", read)[1] == 0.5
    assert read.calls == 2


def test_a_missing_image_is_the_error_of_the_decoder(tmp_path):
    def read():
        raise ValueError("no such file")

    with pytest.raises(ValueError, match="no such file"):
        DiskCache(tmp_path / "cache").get(tmp_path / "b.png", "", read)


def test_it_is_removed_on_demand(tmp_path, image):
    folder = tmp_path / "cache"
    cache = DiskCache(folder)
    cache.get(image, "", Reader())
    (folder / "mine.txt").touch()
    (folder / "ab").mkdir(exist_ok=True)
    (folder / "ab/mine.rgb.txt").touch()
    assert clear_disk_cache(folder) == (1, 3 * 4 * 3 + disk_cache.HEADER.size)
    del cache
    assert [path.name for path in files_in(folder)] == ["mine.rgb.txt", "mine.txt"]
    assert clear_disk_cache(tmp_path / "none") == (0, 0)


def test_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk_cache_folder() == tmp_path / "cspdarknet/decoded-images"
    assert disk_cache_folder(tmp_path / "other") == tmp_path / "other"
