"""`.keras` archives, damaged and hostile ones too."""

import json
import zipfile

import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.readers import archive
from yolox_files import build

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "a.keras"
    build().save(path)
    return archive.read_archive(path)


def write(path, config, weights, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(archive.CONFIG, config)
        file.writestr(archive.WEIGHTS, weights)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_config(members, tmp_path, compression):
    with open_checkpoint(write(tmp_path / "a.keras", *members, compression)) as checkpoint:
        assert checkpoint.config().backbone == build().get_config() | {
            "name": json.loads(members[0])["config"]["name"]
        }


def test_a_config_that_is_too_large(members, tmp_path, monkeypatch, refuses):
    monkeypatch.setattr(archive, "MAX_CONFIG_BYTES", 100)
    refuses(write(tmp_path / "a.keras", *members), "too large a config.json")


def test_a_compressed_archive_that_is_far_larger_than_its_file(members, tmp_path):
    zeros = members[1] + bytes(100_000_000)
    path = write(tmp_path / "a.keras", members[0], zeros, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CheckpointError, match=rf"{path} .*claims to hold 1\d{{8}}: refused"):
        archive.checkpoint(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"{", "not valid JSON"),
        (b'{"class_name": "Functional", "config": {}}', "Received: a 'Functional'"),
    ],
)
def test_other_configs(members, config, message, tmp_path, refuses):
    refuses(write(tmp_path / "a.keras", config, members[1]), message)


def test_damaged_weights(members, tmp_path, refuses):
    config, weights = members
    refuses(write(tmp_path / "a.keras", config, b"text"), "bytes that it does not have")
    path = write(tmp_path / "b.keras", config, weights)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x89HDF") + 600] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="CRC"):
        open_checkpoint(path)
    refuses(path, "damaged")
