"""Paths of images that are not files of their own."""

from pathlib import Path

import pytest

from cspdarknet._stored_images import StoredImage, image_stamp

pytestmark = pytest.mark.one_backend


class Store:
    """Two images in a file."""

    def __init__(self, path):
        self.path = path

    def read(self, index):
        return [b"one", b"three"][index]

    def length(self, index):
        return len(self.read(index))

    def image_size(self, index):
        return index + 1, 7


@pytest.fixture
def image(tmp_path):
    (tmp_path / "store").write_bytes(b"12345678")
    return StoredImage.at(tmp_path / "folder/a.png", Store(tmp_path / "store"), 1)


def test_it_is_opened_like_a_file(image, tmp_path):
    assert image.is_file()
    assert image.exists()
    assert image.read_bytes() == b"three"
    with image.open("rb") as file:
        assert file.read(2) == b"th"
    assert image.size == (2, 7)
    assert image_stamp(image) == (5, (tmp_path / "store").stat().st_mtime_ns)


def test_it_is_called_like_a_file(image, tmp_path):
    path = tmp_path / "folder/a.png"
    assert image == path
    assert hash(image) == hash(path)
    assert (image.name, image.parent) == ("a.png", path.parent)


def test_derived_paths_are_ordinary_ones(image, tmp_path):
    for path in (image.parent / "a.png", image.with_suffix(".jpg"), Path(image)):
        assert not path.is_file()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.jpg").write_bytes(b"file")
    path = image.with_suffix(".jpg")
    assert (path.is_file(), path.read_bytes(), image_stamp(path)[0]) == (True, b"file", 4)
