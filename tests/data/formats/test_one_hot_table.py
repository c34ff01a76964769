"""The reader of CSV files with a column for each class."""

import pytest

from annotation_files import write_image, write_labels
from cspdarknet.data import load_classification_dataset, read_dataset
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.one_hot_table import ONE_HOT

pytestmark = pytest.mark.one_backend


def write(folder, rows, header="filename, cat, dog, Unlabeled"):
    for name in (row.split(",")[0] for row in rows):
        write_image(folder / name)
    write_labels(folder / "_classes.csv", [header, *rows])
    return folder


def test_folders_of_splits(tmp_path):
    write(tmp_path / "train", ["a.jpg, 1, 0, 0", "b.jpg, 0, 1, 0"])
    write(tmp_path / "valid", ["c.jpg, 0, 1, 0"])
    write(tmp_path / "test", ["a.jpg, 1, 0, 0"])
    splits = load_classification_dataset(tmp_path)
    assert splits.format.startswith("CSV multi-label: ")
    assert splits.class_names == ("cat", "dog")
    assert splits.train.paths == (tmp_path / "train/a.jpg", tmp_path / "train/b.jpg")
    assert splits.train.labels.tolist() == [0, 1]
    assert (splits.validation.labels.tolist(), splits.test.labels.tolist()) == ([1], [0])
    assert splits.problems == ()


def test_a_file_that_the_user_names(tmp_path):
    header = "image_id,healthy,rust"
    write_image(tmp_path / "images/a.jpg")
    write_image(tmp_path / "images/b.jpg")
    write_labels(tmp_path / "train.csv", [header, "a,1.0,0.0", "b,0.0,1.0"])
    annotations = ONE_HOT.read(DatasetFiles(tmp_path / "train.csv"))
    assert annotations.splits["train"] == [
        (tmp_path / "images/a.jpg", "healthy"),
        (tmp_path / "images/b.jpg", "rust"),
    ]
    assert annotations.class_names == ("healthy", "rust")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.jpg, 1, 1, 0", "b.jpg is of cat, dog"),
        ("b.jpg, 0, 0, 0", "b.jpg is of no class"),
        ("b.jpg, 0, 0, 1", "b.jpg is of Unlabeled"),
    ],
)
def test_images_of_several_classes_or_none(tmp_path, row, reason):
    write(tmp_path / "train", ["a.jpg, 1, 0, 0", row, "c.jpg, 0, 1, 0", "d.jpg, 0, 1, 0"])
    with pytest.raises(ValueError, match=reason):
        load_classification_dataset(tmp_path)
    splits = load_classification_dataset(tmp_path, on_problem="fix", validation_split=0.5)
    (problem,) = splits.problems  # and not another one that the image has no annotation
    assert (problem.kind, problem.where) == ("several classes", "line 3")
    assert problem.reason == f"{reason}: train with `--labels multi` (labels='multi')"
    assert problem.path.name == "_classes.csv"


def test_all_classes_of_an_image(tmp_path):
    rows = ["a.jpg, 1, 1, 0", "b.jpg, 0, 0, 0", "c.jpg, 0, 0, 1", "d.jpg, 0, 1, 0"]
    write(tmp_path / "train", rows)
    annotations = read_dataset(tmp_path, "classification", labels="multi")
    images = {image.path.name: image.class_names for image in annotations.splits["train"]}
    assert images == {"a.jpg": ("cat", "dog"), "b.jpg": (), "d.jpg": ("dog",)}
    assert annotations.class_names == ("cat", "dog")
    (problem,) = annotations.problems
    assert (problem.kind, problem.reason) == ("unlabeled image", "c.jpg is Unlabeled")
    assert not problem.stops


@pytest.mark.parametrize("row", ["b.jpg, 1, 0", "b.jpg, 1, 0, 0, 0", "b.jpg, 1, 2, 0", ", 1, 0, 0"])
def test_rows_that_cannot_be_read(tmp_path, row):
    rows = [*(f"{i}.jpg, 1, 0, 0" for i in range(20)), "a.jpg, 0, 1, 0"]
    write(tmp_path, rows)
    with (tmp_path / "_classes.csv").open("a") as file:
        file.write(f"\n{row}\n")
    annotations = ONE_HOT.read(DatasetFiles(tmp_path))
    assert len(annotations.splits["train"]) == 21
    (problem,) = annotations.problems
    assert (problem.kind, problem.where) == ("malformed annotation", "line 24")
    assert "0 or 1 for each of 3 classes" in problem.reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "filename,cat,dog",
        "filename,class\na.jpg,1",
        "filename,width,height\na.jpg,80,60",
        "Pixel Value, Class\n0, background",
        "cat,dog,bird\n1,0,0",
    ],
)
def test_other_tables(tmp_path, text):
    (tmp_path / "_classes.csv").write_text(text)
    for source in (tmp_path, tmp_path / "_classes.csv"):
        assert ONE_HOT.match(DatasetFiles(source)) is None
        with pytest.raises(ValueError, match="has no file in this format"):
            ONE_HOT.read(DatasetFiles(source))


def test_a_column_of_classes_beside_a_flag(tmp_path):
    (tmp_path / "a.csv").write_text("image_id,label,is_valid\na,0,1\nb,1,0\n")
    for name in "ab":
        write_image(tmp_path / f"{name}.jpg")
    images = read_dataset(tmp_path).splits["train"]
    assert [image.class_name for image in images] == ["0", "1"]
