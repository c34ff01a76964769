"""The cache of facts about images."""

import json
import os
import shutil

import pytest

from cspdarknet.data.doctor import cache as cache_module
from cspdarknet.data.doctor.cache import FactsCache, collect_facts
from doctor_images import picture, save_pictures

pytestmark = pytest.mark.one_backend


@pytest.fixture
def paths(tmp_path):
    return save_pictures(tmp_path / "images", range(3))


@pytest.fixture
def reads(monkeypatch):
    """The files that are decoded."""
    decoded = []
    original = cache_module.read_facts

    def read(path, *arguments):
        decoded.append(path)
        return original(path, *arguments)

    monkeypatch.setattr(cache_module, "read_facts", read)
    return decoded


def collect(tmp_path, paths):
    return collect_facts(paths, FactsCache(tmp_path / "cache", tmp_path / "images"))


def test_only_new_and_changed_files_are_decoded_again(tmp_path, paths, reads):
    first = collect(tmp_path, paths)
    assert sorted(reads) == paths
    reads.clear()
    assert collect(tmp_path, paths) == first
    assert reads == []
    picture(7).save(paths[1])
    paths += save_pictures(tmp_path / "images", [8])
    second = collect(tmp_path, paths)
    assert sorted(reads) == [paths[1], paths[3]]
    assert second[paths[1]].digest != first[paths[1]].digest
    assert second[paths[0]] == first[paths[0]]


def test_a_file_of_the_same_size_that_was_written_later_is_decoded_again(tmp_path, paths, reads):
    collect(tmp_path, paths)
    reads.clear()
    status = paths[0].stat()
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    collect(tmp_path, paths)
    assert reads == [paths[0]]


def test_datasets_have_files_of_their_own_and_nothing_is_left_behind(tmp_path, paths):
    collect(tmp_path, paths)
    collect_facts(paths, FactsCache(tmp_path / "cache", tmp_path))
    assert len(list((tmp_path / "cache").iterdir())) == 2
    before = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert before == ["0.png", "1.png", "2.png"]


def test_images_that_are_no_longer_in_the_dataset_are_forgotten(tmp_path, paths):
    collect(tmp_path, paths)
    collect(tmp_path, [*paths[1:], *save_pictures(tmp_path / "images", [9])])
    (file,) = (tmp_path / "cache").iterdir()
    kept = json.loads(file.read_text())["images"]
    assert sorted(path[-5:] for path in kept) == ["1.png", "2.png", "9.png"]


def test_a_dataset_that_was_moved_is_decoded_again(tmp_path, paths, reads):
    collect(tmp_path, paths)
    reads.clear()
    shutil.move(tmp_path / "images", tmp_path / "moved")
    moved = [tmp_path / "moved" / path.name for path in paths]
    collect_facts(moved, FactsCache(tmp_path / "cache", tmp_path / "images"))
    assert sorted(reads) == moved


def damage(content, key, value):
    rows = {path: list(row) for path, row in content["images"].items()}
    next(iter(rows.values()))[key] = value
    return {**content, "images": rows}


@pytest.mark.parametrize(
    "write",
    [
        lambda content: "",
        lambda content: json.dumps(content)[:-20],
        lambda content: json.dumps([content]),
        lambda content: json.dumps({**content, "version": 0}),
        lambda content: json.dumps({**content, "images": []}),
        lambda content: json.dumps({**content, "images": {"a": [1, 2]}}),
        lambda content: json.dumps(damage(content, 2, 0)),
        lambda content: json.dumps(damage(content, 2, "80")),
        lambda content: json.dumps(damage(content, 4, "zz")),
        lambda content: json.dumps(damage(content, 5, "1" * 17)),
        lambda content: json.dumps(damage(content, 6, "AAAA")),
        lambda content: "[" * 100_000,
        lambda content: "\udcff",
    ],
)
def test_a_damaged_cache_is_ignored(tmp_path, paths, write):
    facts = collect(tmp_path, paths)
    (file,) = (tmp_path / "cache").iterdir()
    text = write(json.loads(file.read_text()))
    file.write_bytes(text.encode(errors="surrogateescape"))
    cache = FactsCache(tmp_path / "cache", tmp_path / "images")
    assert cache.get(paths[0]) is None
    assert collect(tmp_path, paths) == facts


def test_damaged_images_are_not_kept(tmp_path, paths, reads):
    paths[0].write_bytes(b"damaged")
    assert collect(tmp_path, paths)[paths[0]].error
    reads.clear()
    assert collect(tmp_path, paths)[paths[0]].error
    assert reads == [paths[0]]


def test_an_interruption_keeps_what_is_known(tmp_path, paths, reads):
    def stop(_):
        if len(reads) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_facts(paths, FactsCache(tmp_path / "cache", tmp_path / "images"), 1, stop)
    reads.clear()
    collect(tmp_path, paths)
    assert len(reads) < 3


def test_each_number_of_channels_has_entries_of_its_own(tmp_path, paths):
    assert not collect(tmp_path, paths)[paths[0]].error
    cache = FactsCache(tmp_path / "cache", tmp_path / "images", channels=1)
    assert "must have the 1 channels" in collect_facts(paths, cache)[paths[0]].error
    assert not collect(tmp_path, paths)[paths[0]].error


def test_sizes_alone_are_read_without_decoding(tmp_path, paths, reads):
    cache = FactsCache(tmp_path / "cache", tmp_path / "images")
    facts = collect_facts(paths, cache, decode=False)
    assert reads == []
    assert {item.size for item in facts.values()} == {(240, 180)}
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written(tmp_path, paths):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ValueError, match="cannot be written"):
        collect(tmp_path, paths)
