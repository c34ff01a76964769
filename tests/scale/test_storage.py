"""Folders of results on local and other file systems."""

import errno
from pathlib import Path

import pytest

from cspdarknet._unfinished import WriteError
from cspdarknet.scale.storage import ResultFolder, file_system, full_path, is_local

pytest.importorskip("fsspec", reason="bulk jobs need fsspec")

pytestmark = pytest.mark.one_backend


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    return ResultFolder(tmp_path / "out" if request.param == "local" else f"memory:/{tmp_path}")


def write_text(text):
    return lambda path: path.write_text(text)


def test_files_are_written_listed_and_removed(folder):
    assert folder.names("results") == set()
    assert not folder.exists("results/a")
    folder.write("results/a", write_text("one"))
    folder.write("results/a", write_text("two"))
    assert folder.exists("results/a")
    assert not folder.exists("results")
    assert folder.read_bytes("results/a") == b"two"
    assert folder.names("results") == {"a"}
    folder.remove("results/a")
    folder.remove("results/a")
    assert folder.names("results") == set()


def test_an_interrupted_write_leaves_the_earlier_file(folder):
    folder.write("a", write_text("whole"))

    def interrupted(path):
        path.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write("a", interrupted)
    assert folder.read_bytes("a") == b"whole"
    assert folder.names("") == {"a"}


def test_a_file_system_without_whole_uploads_gets_the_file_by_a_move(tmp_path, monkeypatch):
    folder = ResultFolder(f"memory:/{tmp_path}")
    monkeypatch.setattr("cspdarknet.scale.storage.WHOLE_UPLOADS", set())
    uploaded = []
    put_file = type(folder._fs).put_file
    monkeypatch.setattr(
        folder._fs, "put_file", lambda a, b: (uploaded.append(b), put_file(folder._fs, a, b))
    )
    folder.write("results/a", write_text("one"))
    assert not uploaded[0].endswith("/a")
    assert folder.names("results") == {"a"}


def test_a_full_disk_is_named(tmp_path):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WriteError, match="free some space"):
        ResultFolder(tmp_path).write("a", full)


def test_one_job_at_a_time_in_a_local_folder(tmp_path):
    first, second = ResultFolder(tmp_path / "out"), ResultFolder(tmp_path / "out")
    with first.claimed(), pytest.raises(ValueError, match="Another process"), second.claimed():
        pass
    with second.claimed():
        pass


def test_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fs, path = file_system("out")
    assert is_local(fs)
    assert full_path(fs, path) == str(Path("out").absolute())
    assert ResultFolder("memory://job/").url == "memory:///job"
    with pytest.raises(ValueError, match="fsspec knows"):
        file_system("nonsense://bucket")
    assert not list(tmp_path.iterdir())
