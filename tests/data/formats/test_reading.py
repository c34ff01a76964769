"""Shared code of the format readers."""

import pytest

from cspdarknet.data.annotations import Annotations
from cspdarknet.data.formats.reading import images_in, read_annotations, split_folders

pytestmark = pytest.mark.one_backend


def test_the_first_reader_that_knows_the_format_is_taken(tmp_path):
    answers = [Annotations({"train": [1]}), Annotations({"train": [2]})]
    readers = [lambda _: None, lambda _: answers[0], lambda _: answers[1]]
    assert read_annotations(tmp_path, readers, "a dataset") is answers[0]
    with pytest.raises(ValueError, match="is not a dataset"):
        read_annotations(tmp_path, readers[:1], "a dataset")
    with pytest.raises(ValueError, match="There is no folder or file"):
        read_annotations(tmp_path / "missing", readers, "a dataset")


def test_folders_of_splits(tmp_path):
    for name in ("val2017", "train2017", "tests", "images", "train"):
        (tmp_path / name).mkdir()
    (tmp_path / "test").touch()
    folders = split_folders(tmp_path)
    assert {split: path.name for split, path in folders.items()} == {
        "train": "train",
        "validation": "val2017",
    }
    assert split_folders(tmp_path, exact=True) == {"train": tmp_path / "train"}


def test_image_files_are_listed_and_broken_links_with_them(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "folder.png").mkdir()
    for name in ("b.JPG", "a.png", ".c.png", "d.txt", "more/e.tif"):
        (tmp_path / name).touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "missing.png")
    names = [path.relative_to(tmp_path).as_posix() for path in images_in(tmp_path)]
    assert names == ["a.png", "b.JPG", "link.png"]
    assert [*images_in(tmp_path, recursive=True)][-1] == tmp_path / "more/e.tif"
