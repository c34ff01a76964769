"""Images of files, Parquet files and tars."""

import io
import tarfile

import pytest

from cspdarknet.images import ImageError
from cspdarknet.scale.reading import Columns, read_images
from cspdarknet.scale.sources import Input

arrow = pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")
fsspec = pytest.importorskip("fsspec", reason="bulk jobs need fsspec")
parquet = pytest.importorskip("pyarrow.parquet", reason="bulk jobs need PyArrow")

pytestmark = pytest.mark.one_backend


def read(path, columns=Columns()):  # noqa: B008
    """The images of a shard, with errors as texts."""
    images = read_images([Input("s", str(path))], columns)
    return {key: str(im) if isinstance(im, ImageError) else im for key, im in images}


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_local_files_are_left_to_the_decoder(tmp_path):
    given = [Input("a", str(tmp_path / "a.jpg"))]
    assert [item.image for item in read_images(given)] == [str(tmp_path / "a.jpg")]


def test_remote_files_in_order_and_what_cannot_be_read():
    with fsspec.open("memory://reading/a.jpg", "wb") as file:
        file.write(b"1")
    urls = ["memory://reading/a.jpg", "memory://reading/no.jpg"] * 40
    items = list(read_images([Input(str(i), url) for i, url in enumerate(urls)]))
    assert [item.key for item in items] == [str(i) for i in range(80)]
    assert all(item.image == b"1" for item in items[::2])
    assert {str(item.image) for item in items[1::2]} == {"memory://reading/no.jpg: no such file."}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_a_webdataset(tmp_path, suffix):
    members = {"a/0.jpg": b"0", "a/0.cls": b"7", "a/1.seg.png": b"1", "._x.jpg": b"2"}
    path = write_tar(tmp_path / f"s.{suffix}", members, "w:gz" if suffix.endswith("gz") else "w")
    assert read(path) == {"s/a/0.jpg": b"0", "s/a/1.seg.png": b"1"}


def test_a_damaged_tar_gives_what_is_before_the_damage(tmp_path):
    path = write_tar(tmp_path / "s.tar", {"0.jpg": bytes(600), "1.jpg": bytes(600)})
    path.write_bytes(path.read_bytes()[:2000])
    found = read(path)
    assert found["s/0.jpg"] == bytes(600)
    assert "cannot be read" in found["s"]


def test_a_member_that_states_a_huge_size(tmp_path, monkeypatch):
    monkeypatch.setattr("cspdarknet.scale.reading.MAX_FILE_BYTES", 10)
    path = write_tar(tmp_path / "s.tar", {"0.jpg": bytes(11), "1.jpg": b"1"})
    assert "11 bytes" in read(path)["s/0.jpg"]
    assert read(path)["s/1.jpg"] == b"1"


def test_a_missing_and_a_damaged_shard(tmp_path):
    assert "no such file" in read(tmp_path / "no.tar")["s"]
    for name in ("s.parquet", "s.tar"):
        (tmp_path / name).write_bytes(b"not a shard")
        assert "cannot be read" in read(tmp_path / name)["s"]


def test_parquet_files(tmp_path):
    path = tmp_path / "s.parquet"
    parquet.write_table(arrow.table({"image": [b"0", None, b"2"], "label": [1, 2, 3]}), path)
    assert read(path) == {"s/0": b"0", "s/1": "s/1: no bytes of an image file.", "s/2": b"2"}
    table = arrow.table({"id": [7, 8, None], "Bytes": [b"0", b"1", b"2"]})
    parquet.write_table(table, path)
    assert read(path) == {"7": b"0", "8": b"1", "s/2": b"2"}
    assert read(path, Columns("Bytes", "Bytes"))


def test_parquet_files_of_hugging_face(tmp_path):
    path = tmp_path / "s.parquet"
    parquet.write_table(arrow.table({"image": [{"bytes": b"0", "path": None}]}), path)
    assert read(path) == {"s/0": b"0"}


@pytest.mark.parametrize("columns", [Columns(), Columns("photo"), Columns("x", "name")])
def test_parquet_files_without_the_columns(tmp_path, columns):
    path = tmp_path / "s.parquet"
    parquet.write_table(arrow.table({"x": [b"0"]}), path)
    with pytest.raises(ValueError, match="`image_column` and `key_column`"):
        read(path, columns)
