"""Shards and manifests of others: damaged and hostile ones are refused in one line."""

import pickle

import pytest

from cspdarknet.data import load_detection_dataset, pack_dataset, read_dataset
from cspdarknet.data.packs import array_record
from cspdarknet.images import ImageError, read_image
from image_datasets import write_yolo_dataset
from packed_files import FORMATS, change_index, change_manifest

pytestmark = pytest.mark.one_backend


@pytest.fixture(params=FORMATS)
def packed(request, tmp_path):
    write_yolo_dataset(tmp_path / "source", 3)
    pack_dataset(tmp_path / "source", tmp_path / "packed", request.param)
    return tmp_path / "packed"


def shard_of(packed):
    (path,) = (path for path in packed.iterdir() if path.suffix in (".array_record", ".parquet"))
    return path


CHANGES = {
    "a name outside": lambda index: index["names"].__setitem__(0, "../../etc/passwd"),
    "an absolute name": lambda index: index["names"].__setitem__(0, "/etc/passwd"),
    "an empty name": lambda index: index["names"].__setitem__(0, ""),
    "a name of no file": lambda index: index["names"].__setitem__(0, "a\0b"),
    "a number as a name": lambda index: index["names"].__setitem__(0, 3),
    "too few names": lambda index: index["names"].pop(),
    "a length of another type": lambda index: index["lengths"].__setitem__(0, 1.5),
    "a huge length": lambda index: index["lengths"].__setitem__(0, 10**30),
    "a negative length": lambda index: index["lengths"].__setitem__(0, -1),
    "a side of 0": lambda index: index["widths"].__setitem__(0, 0),
    "an unknown class": lambda index: index["labels"].__setitem__(0, 2),
    "a negative class": lambda index: index["labels"].__setitem__(0, -1),
    "too many boxes": lambda index: index["counts"].__setitem__(0, 10**9),
    "counts that do not fit": lambda index: index["counts"].__setitem__(0, 1),
    "text as a box": lambda index: index["boxes"].__setitem__(0, "a"),
    "a missing column": lambda index: index.pop("ignored"),
    "a dict as a column": lambda index: index.update(labels={"a": 1}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_hostile_index_is_refused(packed, change):
    change_index(packed, change)
    with pytest.raises(ValueError, match=r"train-00000\.json is damaged \(.*\): copy or pack"):
        read_dataset(packed)


def test_offsets_beyond_the_end(packed):
    if shard_of(packed).suffix == ".parquet":
        change_index(packed, lambda i: i["offsets"].__setitem__(0, shard_of(packed).stat().st_size))
        with pytest.raises(ValueError, match="beyond the end"):
            read_dataset(packed)


MANIFEST_CHANGES = {
    "another name": lambda m: m["shards"][0].update(name="../train-00000"),
    "another split": lambda m: m["shards"][0].update(split="holdout"),
    "no images": lambda m: m["shards"][0].update(images=0),
    "more images": lambda m: m["shards"][0].update(images=4),
    "a shard twice": lambda m: m["shards"].append(m["shards"][0]),
    "another size": lambda m: m["shards"][0].update(bytes=7),
    "another checksum": lambda m: m["shards"][0].update(index_sha256="0" * 64),
    "no checksum": lambda m: m["shards"][0].update(sha256=None),
    "an unknown key": lambda m: m["shards"][0].update(url="http://example.com"),
    "numbers as names": lambda m: m.update(class_names=[1, 2]),
    "another format": lambda m: m.update(to="pickle"),
    "shards as text": lambda m: m.update(shards="train"),
    "a later version": lambda m: m.update(version=2),
}


@pytest.mark.parametrize("change", MANIFEST_CHANGES.values(), ids=MANIFEST_CHANGES)
def test_a_hostile_manifest_is_refused(packed, change):
    change_manifest(packed, change)
    with pytest.raises(ValueError, match=r"pack\.json is|train-00000\S+ is damaged"):
        read_dataset(packed)


def test_missing_and_short_files(packed):
    shard = shard_of(packed)
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"is damaged \(it has .* bytes in place of"):
        read_dataset(packed)
    shard.unlink()
    with pytest.raises(ValueError, match="is missing: copy or pack the dataset again"):
        read_dataset(packed)


def test_a_damaged_image_is_an_image_error(packed):
    """The other images of the shard are read."""
    path = load_detection_dataset(packed).train.paths[0]
    shard = shard_of(packed)
    content, image = bytearray(shard.read_bytes()), path.read_bytes()
    start = content.index(image[:64])
    content[start : start + 64] = bytes(64)
    shard.write_bytes(content)
    array_record._reader.cache_clear()
    train = load_detection_dataset(packed).train.paths
    with pytest.raises(ImageError, match=r"[012]\.png: (damaged|not an image)"):
        read_image(train[0])
    read_image(train[1])


def test_other_files_in_the_folder_are_named(packed):
    (packed / "train-00001.parquet").touch()
    assert [problem.kind for problem in read_dataset(packed).problems] == ["unused file"]


def test_the_manifest_may_be_named(packed):
    annotations = read_dataset(packed / "pack.json")
    assert annotations.format.startswith("packed boxes: pack.json lists 1 shard of")
    assert len(annotations.splits["train"]) == 3


def test_images_are_read_in_other_processes(packed):
    path = load_detection_dataset(packed).train.paths[0]
    copy = pickle.loads(pickle.dumps(path))
    assert (copy, copy.size, copy.read_bytes()) == (path, path.size, path.read_bytes())
