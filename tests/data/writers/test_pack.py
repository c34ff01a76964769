"""Packing of datasets: the same batches as from the folder, whole shards, continued packings."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from annotation_files import write_coco
from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    DetectionAugmentation,
    DetectionSource,
    convert_dataset,
    load_classification_dataset,
    load_detection_dataset,
    pack_dataset,
    read_dataset,
    training_batches,
    verify_pack,
)
from cspdarknet.data.writers import shards
from cspdarknet.images import read_image
from image_datasets import write_class_folders, write_yolo_dataset
from packed_files import FORMATS

pytestmark = pytest.mark.one_backend

TASKS = {
    "classification": (
        write_class_folders,
        load_classification_dataset,
        lambda data: ClassificationSource(data, ClassificationAugmentation(mix=0.5), 4),
    ),
    "detection": (
        write_yolo_dataset,
        load_detection_dataset,
        lambda data: DetectionSource(data, DetectionAugmentation(mixup=0.5), 2),
    ),
}


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of two images."""
    monkeypatch.setattr(shards, "MAX_IMAGES", 2)


def arrays(batch):
    images, targets, weights = batch
    return [images, weights, *(targets.values() if isinstance(targets, dict) else [targets])]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("task", TASKS)
def test_batches_are_those_of_the_folder(tmp_path, small_shards, task, to):
    write, load, source = TASKS[task]
    folder = write(tmp_path / "source", 4)
    packed = pack_dataset(folder, tmp_path / "packed", to)
    assert packed.shards > 1
    expected, found = load(folder), load(tmp_path / "packed")
    assert not found.problems
    for name in ("train", "validation"):
        before, after = getattr(expected, name), getattr(found, name)
        assert after.fingerprint == before.fingerprint
        for path, other in zip(before.paths, after.paths, strict=True):
            assert other.read_bytes() == path.read_bytes()
            assert np.array_equal(read_image(other), read_image(path))
    batches = [training_batches(source(splits.train), 64, 1, 3) for splits in (expected, found)]
    for before, after in zip(*batches, strict=True):
        for array, other in zip(arrays(before), arrays(after), strict=True):
            assert np.array_equal(array, other)


def test_splits_classes_and_ignored_boxes_are_kept(tmp_path):
    write_coco(tmp_path / "coco", {"train": ["a", "c"], "val": ["b"]})
    path = tmp_path / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    packed = pack_dataset(tmp_path / "coco", tmp_path / "packed", "parquet")
    assert packed.images == {"train": 2, "validation": 1}
    before, after = (load_detection_dataset(tmp_path / name) for name in ("coco", "packed"))
    assert after.class_names == before.class_names == packed.class_names == ("cell", "worm")
    for name in ("train", "validation"):
        assert getattr(after, name).fingerprint == getattr(before, name).fingerprint
    assert [ignored.tolist() for ignored in after.train.ignored] == [[True, False], []]


def test_parquet_is_a_dataset_for_other_tools(tmp_path):
    """The shards are read as Parquet files in the form of Hugging Face, too."""
    write_yolo_dataset(tmp_path / "source", 2)
    pack_dataset(tmp_path / "source", tmp_path / "packed", "parquet")
    expected = load_detection_dataset(tmp_path / "source")
    found = load_detection_dataset(tmp_path / "packed/train-00000.parquet")
    assert found.class_names == expected.class_names
    for dataset, other in ((expected.train, found.train), (expected.validation, found.validation)):
        assert other.paths[0].read_bytes() == dataset.paths[0].read_bytes()
        np.testing.assert_allclose(other.boxes[0], dataset.boxes[0], atol=1e-4)
        assert np.array_equal(other.labels[0], dataset.labels[0])


@pytest.mark.parametrize("to", FORMATS)
def test_a_stopped_packing_continues(tmp_path, small_shards, monkeypatch, to):
    folder = write_class_folders(tmp_path / "source", 2)
    whole = pack_dataset(folder, tmp_path / "whole", to)
    write = shards.ShardWriter.write

    def stop(self, plan):
        if plan.name.endswith("2"):
            raise KeyboardInterrupt
        return write(self, plan)

    monkeypatch.setattr(shards.ShardWriter, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        pack_dataset(folder, tmp_path / "packed", to)
    with pytest.raises(ValueError, match="is not complete, since its packing was interrupted"):
        load_classification_dataset(tmp_path / "packed")
    monkeypatch.setattr(shards.ShardWriter, "write", write)
    packed = pack_dataset(folder, tmp_path / "packed", to)
    assert (packed.kept, packed.shards) == (2, whole.shards)
    files = [sorted((tmp_path / name).iterdir()) for name in ("whole", "packed")]
    for file, other in zip(*files, strict=True):
        assert (file.name, file.read_bytes()) == (other.name, other.read_bytes())


def test_only_what_has_changed_is_written_again(tmp_path, small_shards):
    folder = write_class_folders(tmp_path / "source", 2)
    pack_dataset(folder, tmp_path / "packed")
    damaged = tmp_path / "packed/train-00000.array_record"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
    Image.new("RGB", (5, 6)).save(folder / "green/0.png")
    assert [problem.path for problem in verify_pack(tmp_path / "packed")] == [damaged]
    packed = pack_dataset(folder, tmp_path / "packed")
    assert (packed.kept, packed.shards) == (1, 3)
    assert verify_pack(tmp_path / "packed") == []
    images = read_dataset(tmp_path / "packed").splits["train"]
    assert (5, 6) in [image.path.size for image in images]


def test_another_packing_is_not_overwritten(tmp_path):
    folder = write_class_folders(tmp_path / "source", 1)
    pack_dataset(folder, tmp_path / "packed")
    before = (tmp_path / "packed/pack.json").read_bytes()
    for options in ({"to": "parquet"}, {"shard_size": 1}):
        with pytest.raises(ValueError, match="holds another packed dataset"):
            pack_dataset(folder, tmp_path / "packed", **options)
    shutil.rmtree(folder / "red")
    with pytest.raises(ValueError, match="holds another packed dataset"):
        pack_dataset(folder, tmp_path / "packed")
    assert (tmp_path / "packed/pack.json").read_bytes() == before


def test_destinations_that_are_refused(tmp_path):
    folder = write_class_folders(tmp_path / "source", 1)
    (tmp_path / "file").touch()
    for destination, message in (
        (folder / "packed", "must not be inside the source"),
        (folder, "must not be inside the source"),
        (tmp_path, "holds other files"),
        (tmp_path / "file", "which is a file"),
    ):
        with pytest.raises(ValueError, match=message):
            pack_dataset(folder, destination)


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    folder = write_class_folders(tmp_path / "source", 1)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match="MB are free: choose a folder on another disk"):
        pack_dataset(folder, tmp_path / "packed")
    assert not list((tmp_path / "packed").glob("train*"))


def test_an_image_that_changes_meanwhile(tmp_path, monkeypatch):
    folder = write_class_folders(tmp_path / "source", 1)
    monkeypatch.setattr(shards, "image_stamp", lambda _: (10**6, 1))
    with pytest.raises(ValueError, match="has changed while it was packed"):
        pack_dataset(folder, tmp_path / "packed")
    assert not list((tmp_path / "packed").glob("train*"))


def test_a_packed_dataset_is_packed_and_converted(tmp_path):
    folder = write_class_folders(tmp_path / "source", 2)
    pack_dataset(folder, tmp_path / "packed")
    pack_dataset(tmp_path / "packed", tmp_path / "again", "parquet")
    convert_dataset(tmp_path / "again", tmp_path / "folder", "folder")
    for path in folder.rglob("*.png"):
        copy = tmp_path / "folder/train" / path.relative_to(folder)
        assert copy.read_bytes() == path.read_bytes()
