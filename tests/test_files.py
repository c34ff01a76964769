"""Atomic writing of files, and output folders."""

import json

import pytest

from cspdarknet._files import OutputFolder, user_cache_folder, write_whole

pytestmark = pytest.mark.one_backend


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(part):
        part.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, lambda part: part.write_text("new"))
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_the_same_file(tmp_path):
    """The second starts and ends while the first is at work; the first is finished last."""
    path = tmp_path / ("x" * 250 + ".bin")

    def first(part):
        part.write_text("fir")
        write_whole(path, lambda other: other.write_text("second"))
        assert path.read_text() == "second"
        with part.open("a") as file:
            file.write("st")

    write_whole(path, first)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_not_there_before_it_is_complete(tmp_path):
    folder = OutputFolder(tmp_path)

    def write(file):
        file.write(b"1")
        assert not (tmp_path / "a.bin").exists()
        file.write(b"2")

    folder.write("a.bin", write)
    assert (tmp_path / "a.bin").read_bytes() == b"12"


def test_text_and_json(tmp_path):
    folder = OutputFolder(tmp_path / "new/folder")
    folder.write_text("a.txt", "größe \udcff")
    assert (folder.path / "a.txt").read_bytes() == "größe ".encode() + b"\xff"
    folder.write_json("a.json", {"a": [1, None]})
    assert folder.read_json("a.json") == {"a": [1, None]}
    assert json.loads((folder.path / "a.json").read_text()) == {"a": [1, None]}


def test_json_files_that_cannot_be_read(tmp_path):
    folder = OutputFolder(tmp_path)
    with pytest.raises(ValueError, match=r"has no file a\.json"):
        folder.read_json("a.json")
    for content in (b"{", b"\xff"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(ValueError, match="is not a JSON file"):
            folder.read_json("a.json")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        OutputFolder(tmp_path / "file" / "folder")


def test_the_cache_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "cspdarknet"
