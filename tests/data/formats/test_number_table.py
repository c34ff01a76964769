"""CSV files of numbers: which tables they are, and what is read."""

import pytest

from cspdarknet.data import read_dataset, recognized_task
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend

ROWS = ("a.png,3,4.5,x", "b.png,4,1e3,y")


def write(path, *rows, header="path,age,weight,name"):
    path.write_text("\n".join([header, *rows]))
    return path


def test_columns_of_numbers_are_targets_and_others_are_kept(tmp_path):
    annotations = read_dataset(write(tmp_path / "pets.csv", *ROWS))
    assert (annotations.task, annotations.class_names) == ("regression", ("age", "weight"))
    assert annotations.format.startswith("CSV numbers: pets.csv has a column of images")
    first, second = annotations.splits["train"]
    assert first.path == tmp_path / "a.png"
    assert first.values == {"age": "3", "weight": "4.5", "name": "x"}
    assert second.where == "line 3"


def test_indices_and_other_names_of_images_are_not_targets(tmp_path):
    rows = ("0,7,a.png,val,2.5", "1,8,b.png,train,3")
    path = write(tmp_path / "a.csv", *rows, header=",id,file,split,score")
    annotations = read_dataset(path, "regression")
    assert annotations.class_names == ("score",)
    assert {split: len(images) for split, images in annotations.splits.items()} == {
        "validation": 1,
        "train": 1,
    }


def test_semicolons(tmp_path):
    path = write(tmp_path / "a.csv", "a.png;3.5", "b.png;4", header="image;age")
    assert read_dataset(path).class_names == ("age",)


@pytest.mark.parametrize(
    ("header", "rows", "task"),
    [
        ("path,label,width", ("a.png,0,30", "b.png,1,40"), "classification"),
        ("path,cat,dog", ("a.png,0,1", "b.png,1,0"), "classification"),
        ("path,label,xmin,ymin,xmax,ymax", ("a.png,cat,1,1,5,5",), "detection"),
        ("path,cat,score", ("a.png,0,1", "b.png,1,0.5"), "regression"),
    ],
)
def test_tables_of_classes_and_boxes_stay_what_they_are(header, rows, task, tmp_path):
    """Their numbers are targets only where a regression is asked for."""
    path = write(tmp_path / "a.csv", *rows, header=header)
    assert recognized_task(path) == task
    assert read_dataset(path, "regression").task == "regression"


def test_a_table_beside_class_folders_does_not_make_them_a_regression(tmp_path):
    write_class_folders(tmp_path / "images", 1)
    write(tmp_path / "images/sizes.csv", "red/0.png,40,36", header="path,width,height")
    assert recognized_task(tmp_path / "images") == "classification"
    annotations = read_dataset(tmp_path / "images", "regression")
    assert len(annotations.splits["train"]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path;age\na.png;3,5\n", "must have a header .* most values are numbers.* path, age"),
        ("a.png,3\nb.png,4\n", "Received the columns: a.png, 3"),
        ("", "Received the columns: none"),
        ("path,größe\na.png,3\n", "is not text in UTF-8"),
        ("path,age,age\na.png,3,4\n", "has several columns named 'age'"),
    ],
)
def test_what_a_table_lacks(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        read_dataset(tmp_path / "a.csv", "regression")


def test_malformed_rows_are_problems_of_their_line(tmp_path):
    rows = ("a.png,1,2,x", ",1,2,x", "a.png,3,4,x", "b.png,1,2,x,5", "", "c.png,1,2")
    annotations = read_dataset(write(tmp_path / "a.csv", *rows))
    assert [image.path.name for image in annotations.splits["train"]] == ["a.png", "c.png"]
    found = {problem.where: problem.reason for problem in annotations.problems}
    assert found == {
        "line 3": "the path is missing",
        "line 4": "it names a.png a second time",
        "line 5": "it has 5 values for 4 columns; put texts in quotes",
    }
    path = write(tmp_path / "b.csv", "a.png,1,night", "b.png,2,", header="path,age,split")
    (problem,) = read_dataset(path).problems
    assert "the split must be one of train, validation, test. Received: 'night'" in str(problem)
