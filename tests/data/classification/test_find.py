"""Loading of datasets for image classification."""

import numpy as np
import pytest

from cspdarknet.data import load_classification_dataset, load_classification_split
from image_datasets import COLORS, write_class_folders

pytestmark = pytest.mark.one_backend


def test_a_folder_of_classes_is_split_by_class_and_seed(tmp_path):
    write_class_folders(tmp_path, per_class=10)
    splits = load_classification_dataset(tmp_path, validation_split=0.2, seed=1)
    assert splits.class_names == ("blue", "green", "red")
    np.testing.assert_array_equal(splits.train.counts, [8, 8, 8])
    np.testing.assert_array_equal(splits.validation.counts, [2, 2, 2])
    assert not set(splits.train.paths) & set(splits.validation.paths)
    for path, label in zip(splits.train.paths, splits.train.labels, strict=True):
        assert path.parent.name == splits.class_names[label]
    again = load_classification_dataset(tmp_path, validation_split=0.2, seed=1)
    assert again.validation.paths == splits.validation.paths
    other = load_classification_dataset(tmp_path, validation_split=0.2, seed=2)
    assert other.validation.paths != splits.validation.paths


def test_a_class_with_one_image_keeps_it_for_training(tmp_path):
    write_class_folders(tmp_path, 4)
    for i in range(3):
        (tmp_path / f"red/{i}.png").unlink()
    splits = load_classification_dataset(tmp_path)
    np.testing.assert_array_equal(splits.train.counts, [3, 3, 1])


def test_splits_of_the_dataset_are_kept(tmp_path):
    for name, count in (("train", 3), ("val", 2), ("test", 1)):
        write_class_folders(tmp_path / name, count)
    splits = load_classification_dataset(tmp_path)
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [9, 6, 3]
    assert splits.train.labels.dtype == np.int32


def test_a_csv_file(tmp_path):
    write_class_folders(tmp_path / "all", 2)
    rows = ["file,class,split"]
    for name in COLORS:
        rows += [f"all/{name}/0.png,{name},train", f"all/{name}/1.png,{name},val"]
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    splits = load_classification_dataset(tmp_path / "photos.csv")
    assert [len(splits.train), len(splits.validation), splits.test] == [3, 3, None]
    assert splits.train.paths[0] == tmp_path / "all/blue/0.png"


def test_a_classifier_is_evaluated_on_the_split_that_was_kept_apart(tmp_path):
    names = ("red", "green", "blue")
    write_class_folders(tmp_path / "train", 3)
    name, dataset, problems = load_classification_split(tmp_path, names)
    assert (name, len(dataset), problems) == ("all", 9, ())
    write_class_folders(tmp_path / "valid", 2)
    assert load_classification_split(tmp_path, names).name == "validation"
    write_class_folders(tmp_path / "test", 1)
    name, dataset, _ = load_classification_split(tmp_path, names)
    assert (name, dataset.class_names) == ("test", names)
    assert [path.parent.name for path in dataset.paths] == [names[i] for i in dataset.labels]
    with pytest.raises(ValueError, match=r"green, red\. The model knows blue"):
        load_classification_split(tmp_path, ["blue"])


def test_data_that_cannot_be_used(tmp_path):
    (tmp_path / "photos.zip").touch()
    with pytest.raises(ValueError, match=r"is not a dataset.* Received: a file \.zip"):
        load_classification_dataset(tmp_path / "photos.zip")
    for load in (load_classification_dataset, lambda path: load_classification_split(path, "ab")):
        with pytest.raises(ValueError, match="There is no folder or file"):
            load(tmp_path / "missing")
        with pytest.raises(ValueError, match=r"is not a dataset.* Received: 1 \.zip files"):
            load(tmp_path)
    write_class_folders(tmp_path / "train", 1)
    with pytest.raises(ValueError, match="single image"):
        load_classification_dataset(tmp_path)
    write_class_folders(tmp_path / "val", 1)
    (tmp_path / "val/red").rename(tmp_path / "val/pink")
    with pytest.raises(ValueError, match="without training images: pink"):
        load_classification_dataset(tmp_path)
    with pytest.raises(ValueError, match="validation_split"):
        load_classification_dataset(tmp_path, validation_split=1.5)
    (tmp_path / "a.csv").write_text("path,label\na.png,x\nb.png,x")
    with pytest.raises(ValueError, match=r"(?s)2 problems in 2 files.*there is no such image"):
        load_classification_dataset(tmp_path / "a.csv")
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="a single class, 'x'"):
        load_classification_dataset(tmp_path / "a.csv")


def test_missing_images_are_problems(tmp_path):
    write_class_folders(tmp_path, 2)
    rows = ["path,label", "blue/0.png,blue", "blue/1.png,blue", "red/0.png,red", "red/9.png,red"]
    (tmp_path / "a.csv").write_text("\n".join([*rows, "red/1.png,red"]))
    with pytest.raises(ValueError, match=r"red/9\.png: there is no such image"):
        load_classification_dataset(tmp_path)
    splits = load_classification_dataset(tmp_path, on_problem="fix")
    assert len(splits.train) + len(splits.validation) == 4
    assert [p.path.name for p in splits.problems if p.kind == "missing image"] == ["9.png"]
