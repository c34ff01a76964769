"""Datasets as a training sees them, with the reason for which it would stop."""

import pytest

from annotation_files import write_voc, write_yolo
from cspdarknet.data import load_classification_dataset, load_detection_dataset, read_dataset
from cspdarknet.data.doctor.load import image_paths, load_annotated
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


def load(path, damaged=()):
    return load_annotated(path, read_dataset(path), damaged=damaged)


def test_a_dataset_for_detection(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    loaded = load(tmp_path)
    assert (loaded.task, loaded.class_names, loaded.error) == ("detection", ("cell", "worm"), "")
    assert {split: len(images) for split, images in loaded.splits.items()} == {
        "train": 2,
        "validation": 1,
    }
    assert len(image_paths(read_dataset(tmp_path))) == 3


def test_all_images_are_in_one_split_where_none_is_declared(tmp_path):
    write_class_folders(tmp_path, per_class=4)
    loaded = load(tmp_path)
    assert list(loaded.splits) == ["train"]
    assert loaded.splits["train"].counts.tolist() == [4, 4, 4]
    assert loaded.error == ""


def test_the_error_is_that_of_a_training(tmp_path):
    write_class_folders(tmp_path / "train", per_class=1)
    (tmp_path / "train/red").rename(tmp_path / "train/pink")
    write_class_folders(tmp_path / "val", per_class=1)
    with pytest.raises(ValueError, match="without training images: red") as expected:
        load_classification_dataset(tmp_path)
    assert load(tmp_path).error == str(expected.value)


def test_boxes_to_train_on_are_needed(tmp_path):
    write_yolo(tmp_path, {"train": ["c"], "val": ["a"]})
    with pytest.raises(ValueError, match="no images with boxes") as expected:
        load_detection_dataset(tmp_path)
    assert load(tmp_path).error == str(expected.value)


def test_damaged_images_are_left_out(tmp_path):
    write_class_folders(tmp_path, per_class=2)
    loaded = load(tmp_path, damaged=[tmp_path / "red/0.png"])
    assert loaded.splits["train"].counts.tolist() == [2, 2, 1]
    assert loaded.error == ""
    loaded = load(tmp_path, damaged=[tmp_path / f"red/{i}.png" for i in range(2)])
    assert "Without one: red." in loaded.error


def test_a_split_of_damaged_images(tmp_path):
    write_yolo(tmp_path, {"train": ["a"], "val": ["b"]})
    loaded = load(tmp_path, damaged=[tmp_path / "images/val/b.jpg"])
    assert loaded.error == "The validation split needs an image that can be decoded."
    assert list(loaded.splits) == ["train"]
