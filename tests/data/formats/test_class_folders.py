"""The reader of folders with a subfolder for each class."""

import pytest
from PIL import Image

from cspdarknet.data import read_dataset
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats import class_folders
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


def read(folder):
    return class_folders.read(DatasetFiles(folder))


def counts(annotations):
    return {split: len(images) for split, images in annotations.splits.items()}


@pytest.mark.parametrize("name", ["validation", "val", "Valid"])
def test_folders_of_splits(tmp_path, name):
    write_class_folders(tmp_path / "train", 3)
    write_class_folders(tmp_path / name, 2)
    write_class_folders(tmp_path / "test", 1)
    assert counts(read(tmp_path)) == {"train": 9, "validation": 6, "test": 3}


def test_a_class_may_be_named_like_a_split(tmp_path):
    write_class_folders(tmp_path, 4)
    (tmp_path / "red").rename(tmp_path / "train")
    images = read(tmp_path).splits["train"]
    assert {image.class_name for image in images} == {"blue", "green", "train"}


def test_a_class_may_have_the_name_of_a_split_as_a_word(tmp_path):
    write_class_folders(tmp_path, 4)
    (tmp_path / "test tubes").mkdir()
    (tmp_path / "red").rename(tmp_path / "test tubes/red")
    assert counts(read(tmp_path)) == {"train": 12}


def test_subfolders_are_searched_but_not_hidden_ones(tmp_path):
    write_class_folders(tmp_path, 4)
    for i, name in enumerate((".hidden", "more")):
        (tmp_path / "blue" / name).mkdir()
        (tmp_path / f"blue/{i}.png").rename(tmp_path / f"blue/{name}/{i}.png")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/a.png").touch()
    images = read(tmp_path).splits["train"]
    blue = [image.path.relative_to(tmp_path).as_posix() for image in images[:-8]]
    assert blue == ["blue/2.png", "blue/3.png", "blue/more/1.png"]
    assert {image.class_name for image in images} == {"blue", "green", "red"}


@pytest.mark.parametrize(
    "names",
    [
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("all/Train", "all/TEST"),
    ],
)
def test_names_of_splits_are_not_classes(tmp_path, names):
    for name, count in zip(names, (3, 2), strict=True):
        write_class_folders(tmp_path / name, count)
    assert counts(read(tmp_path)) == {"train": 9, "test": 6}
    # Beside a folder of images without classes, too.
    (tmp_path / "seg_pred/seg_pred").mkdir(parents=True)
    (tmp_path / "blue.png").touch()
    Image.new("RGB", (8, 8)).save(tmp_path / "seg_pred/seg_pred/a.png")
    if "all" not in names[0]:
        assert counts(read(tmp_path)) == {"train": 9, "test": 6}


def test_unlabeled_images_are_named_and_left_out(tmp_path):
    write_class_folders(tmp_path / "train", 2)
    (tmp_path / "test").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "test/0.jpg")
    (tmp_path / "readme.md").touch()
    annotations = read_dataset(tmp_path)
    assert counts(annotations) == {"train": 6}
    found = {(problem.kind, problem.path, problem.stops) for problem in annotations.problems}
    assert found == {
        ("unused file", tmp_path, False),
        ("unlabeled image", tmp_path / "test/0.jpg", False),
    }


def test_splits_without_class_folders_are_no_dataset(tmp_path):
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "0.jpg")
    with pytest.raises(ValueError, match=r"is not a dataset\. Received: 2 \.jpg .* in test, train"):
        read_dataset(tmp_path)


def test_links_to_folders_are_followed_once(tmp_path):
    write_class_folders(tmp_path / "data", 2)
    write_class_folders(tmp_path / "store", 1, seed=1)
    (tmp_path / "data/red/more").symlink_to(tmp_path / "store/red")
    (tmp_path / "data/red/again").symlink_to(tmp_path / "store/red")
    (tmp_path / "data/red/cycle").symlink_to(tmp_path / "data")
    assert counts(read(tmp_path / "data")) == {"train": 7}


def test_folders_that_all_have_the_same_subfolders(tmp_path):
    """Either may be the classes, such as in a folder for each day or fold."""
    for name in ("day1", "day2"):
        write_class_folders(tmp_path / name, 2)
    with pytest.raises(ValueError, match=r"day1, day2, all with the subfolders blue, green, red"):
        read_dataset(tmp_path)


def test_subfolders_of_classes_are_named(tmp_path):
    write_class_folders(tmp_path / "animals", 2)
    write_class_folders(tmp_path / "plants", 2)
    (tmp_path / "plants/red").rename(tmp_path / "plants/pink")
    annotations = read_dataset(tmp_path)
    assert {image.class_name for image in annotations.splits["train"]} == {"animals", "plants"}
    assert [(p.kind, p.path.name, p.stops) for p in annotations.problems] == [
        ("nested folder", "animals", False),
        ("nested folder", "plants", False),
    ]


@pytest.mark.parametrize("prefixes", [("",), ("train/", "val/"), ("training/", "testing/")])
@pytest.mark.parametrize(
    "names", [("images", "masks"), ("image_2", "image_3"), ("JPEGImages", "gt")]
)
def test_folders_of_all_images_are_not_classes(tmp_path, prefixes, names):
    """As in datasets for segmentation, or in KITTI."""
    for prefix in prefixes:
        for name in names:
            (tmp_path / prefix / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / prefix / name / "0.png")
    with pytest.raises(ValueError, match="is not a dataset"):
        read_dataset(tmp_path)


def test_class_folders_in_a_folder_of_images(tmp_path):
    write_class_folders(tmp_path / "images", 2)
    write_class_folders(tmp_path / "segmentations", 2)
    images = read(tmp_path).splits["train"]
    assert {image.class_name for image in images} == {"blue", "green", "red"}
    assert len(images) == 6


def test_a_copy_of_the_class_folders_beside_them(tmp_path):
    write_class_folders(tmp_path, 2)
    write_class_folders(tmp_path / "brain_dataset", 2)
    with pytest.raises(ValueError, match="brain_dataset has the subfolders blue, green, red"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["test1/test1", "val/images", "test/unknown"])
def test_a_folder_of_unlabeled_images_in_that_of_a_split(tmp_path, name):
    write_class_folders(tmp_path / "train", 2)
    (tmp_path / name).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / name / "0.png")
    annotations = read_dataset(tmp_path)
    assert counts(annotations) == {"train": 6}
    assert [p.path for p in annotations.problems] == [tmp_path / name / "0.png"]


def test_class_folders_without_images_are_named(tmp_path):
    write_class_folders(tmp_path / "train", 2)
    write_class_folders(tmp_path / "val", 2)
    for name in ("train/pink", "train/.hidden", "val/pink/more"):
        (tmp_path / name).mkdir(parents=True)
    notes = [(p.kind, p.path, p.stops) for p in read_dataset(tmp_path).problems]
    assert notes == [
        ("empty folder", tmp_path / split / "pink", False) for split in ("train", "val")
    ]
