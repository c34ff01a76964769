"""Temporary folders of unfinished files."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from cspdarknet import _unfinished
from cspdarknet._unfinished import LOCK, PART, WriteError, remove_leftovers, temporary_folder

pytestmark = pytest.mark.one_backend


def test_the_folders_of_killed_processes_are_removed_and_no_others(tmp_path):
    pytest.importorskip("fcntl")
    killed, starting, old = (tmp_path / f"{PART}{name}" for name in ("killed", "starting", "old"))
    for folder in (killed, starting, old):
        folder.mkdir()
        (folder / "a.bin").touch()
    (killed / LOCK).touch()  # which no process holds any more
    os.utime(old, (0, 0))
    (tmp_path / ".other").mkdir()
    with temporary_folder(tmp_path / "a") as mine:
        assert sorted(tmp_path.iterdir()) == sorted([mine, starting, tmp_path / ".other"])
        remove_leftovers(tmp_path)
        assert mine.exists()
    assert sorted(tmp_path.iterdir()) == [starting, tmp_path / ".other"]


def test_a_folder_that_is_removed_before_it_is_locked(tmp_path, monkeypatch):
    """Another process has seen it in the moment between, and has claimed and removed it."""
    pytest.importorskip("fcntl")
    made = []

    def removed_once(lock):
        made.append(Path(lock.name).parent)
        if len(made) == 1:
            shutil.rmtree(made[0])
        return True

    monkeypatch.setattr(_unfinished, "claim", removed_once)
    with temporary_folder(tmp_path / "a") as folder:
        assert folder == made[1]
        assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
        (OSError(errno.EFBIG, "File too large"), "allow larger files"),
        (OSError(errno.EROFS, "Read-only file system"), "choose a folder that can be written"),
    ],
)
def test_errors_of_the_disk_name_the_file_and_the_remedy(tmp_path, error, message):
    path = tmp_path / "a.json"
    with pytest.raises(WriteError) as raised, temporary_folder(path):
        raise error
    assert str(raised.value).startswith(f"{path} cannot be written ({error.strerror}): {message}")
    assert raised.value.errno == error.errno


def test_a_full_disk_behind_the_error_of_a_library(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RuntimeError, match="frame #27"), temporary_folder(tmp_path / "a.pt2"):
        raise RuntimeError("frame #27: _start")
    monkeypatch.setattr(_unfinished.tempfile, "TemporaryFile", full)
    message = r"a\.pt2 cannot be written \(No space left on device\): free some space"
    with pytest.raises(WriteError, match=message), temporary_folder(tmp_path / "a.pt2"):
        raise RuntimeError("frame #27: _start")
    assert not list(tmp_path.iterdir())


def test_other_errors_are_left_as_they_are(tmp_path):
    for error in (OSError(errno.ENOENT, "no such image"), ValueError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, temporary_folder(tmp_path / "a"):
            raise error
        assert raised.value is error


def test_a_missing_folder(tmp_path):
    with (
        pytest.raises(WriteError, match=r"none/a cannot be written.*create its folder first"),
        temporary_folder(tmp_path / "none/a"),
    ):
        pass
