"""The reader of folders with a subfolder for each class."""

import pytest

from cspdarknet.data.formats.class_folders import read_class_folders
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


def counts(annotations):
    return {split: len(images) for split, images in annotations.splits.items()}


@pytest.mark.parametrize("name", ["validation", "val", "Valid"])
def test_folders_of_splits(tmp_path, name):
    write_class_folders(tmp_path / "train", 3)
    write_class_folders(tmp_path / name, 2)
    write_class_folders(tmp_path / "test", 1)
    assert counts(read_class_folders(tmp_path)) == {"train": 9, "validation": 6, "test": 3}


def test_a_class_may_be_named_like_a_split(tmp_path):
    write_class_folders(tmp_path, 4)
    (tmp_path / "red").rename(tmp_path / "train")
    images = read_class_folders(tmp_path).splits["train"]
    assert {image.class_name for image in images} == {"blue", "green", "train"}


def test_a_class_may_have_the_name_of_a_split_as_a_word(tmp_path):
    write_class_folders(tmp_path, 4)
    (tmp_path / "test tubes").mkdir()
    (tmp_path / "red").rename(tmp_path / "test tubes/red")
    assert counts(read_class_folders(tmp_path)) == {"train": 12}


def test_subfolders_are_searched_but_not_hidden_ones(tmp_path):
    write_class_folders(tmp_path, 4)
    for i, name in enumerate((".hidden", "more")):
        (tmp_path / "blue" / name).mkdir()
        (tmp_path / f"blue/{i}.png").rename(tmp_path / f"blue/{name}/{i}.png")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/a.png").touch()
    images = read_class_folders(tmp_path).splits["train"]
    blue = [image.path.relative_to(tmp_path).as_posix() for image in images[:-8]]
    assert blue == ["blue/2.png", "blue/3.png", "blue/more/1.png"]
    assert {image.class_name for image in images} == {"blue", "green", "red"}
