"""Zip archives that are damaged, or claim more than they hold."""

import contextlib
import io
import warnings
import zipfile

import numpy as np
import pytest

from cspdarknet.checkpoints import CheckpointError, limits
from cspdarknet.checkpoints.readers.zip_file import ZipFile

pytestmark = pytest.mark.one_backend

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def path(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", CONTENT)
        archive.writestr("b", b"text")
    return tmp_path / "a.zip"


def test_members(path):
    with ZipFile(path) as archive:
        assert archive.members == {"a": len(CONTENT), "b": 4}
        assert archive.read("b") == b"text"
        np.testing.assert_array_equal(archive.read_array("a"), np.frombuffer(CONTENT, "u1"))
        assert archive.read_array("a").flags.writeable
        assert not archive.is_compressed


def read(path):
    with ZipFile(path) as archive:
        for name in archive.members:
            archive.read(name)
            archive.read_array(name)


def refuses(path, message):
    with pytest.raises(CheckpointError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_every_flipped_byte_is_one_error_or_none(path):
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        with contextlib.suppress(CheckpointError):
            read(path)


def test_a_flipped_byte_of_the_content(path):
    path.write_bytes(path.read_bytes().replace(b"text", b"tent"))
    refuses(path, "damaged|CRC")


def test_sizes_that_the_file_does_not_have(path):
    content = path.read_bytes()
    size = len(CONTENT).to_bytes(4, "little")
    directory = content.index(b"PK\x01\x02")
    large = content[directory:].replace(size, (1 << 30).to_bytes(4, "little"))
    path.write_bytes(content[:directory] + large)
    refuses(path, "claims to hold")


def test_a_long_directory(path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_ZIP_DIRECTORY_BYTES", 60)
    refuses(path, "directory is too large")


def test_two_members_of_one_name(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("a", b"1")
    (tmp_path / "a.zip").write_bytes(content.getvalue())
    refuses(tmp_path / "a.zip", "two members of the same name")


def test_other_files(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04text")
    refuses(tmp_path / "a.zip", "not a zip archive")
