"""The reader of CSV files of boxes."""

import pytest

from annotation_files import (
    csv_rows,
    write_image,
    write_images,
    write_labels,
    write_retinanet,
    write_roboflow_csv,
    write_voc,
)
from cspdarknet.data import load_detection_dataset, read_dataset
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.box_table import BOX_TABLE
from cspdarknet.data.formats.format import RECOGNIZED, RELATED

pytestmark = pytest.mark.one_backend
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"


def read(folder, rows, name="boxes.csv"):
    for image in "abc":
        write_image(folder / f"{image}.jpg")
    write_labels(folder / name, rows)
    return BOX_TABLE.read(DatasetFiles(folder))


def test_roboflow(tmp_path):
    write_roboflow_csv(tmp_path, {"train": ["a", "c"], "valid": ["b"]})
    files = DatasetFiles(tmp_path)
    assert BOX_TABLE.match(files).certainty == RECOGNIZED
    annotations = BOX_TABLE.read(files)
    (a,) = annotations.splits["train"]  # the table has no row for an image without boxes
    assert a.path == tmp_path / "train/a.jpg"
    assert (a.boxes, a.names) == ([(8, 6, 40, 36), (0, 30, 20, 60)], ["cell", "worm"])
    assert a.size == (80, 60)
    (b,) = annotations.splits["validation"]
    assert b.boxes == [(60, 15, 80, 45)]
    problems = load_detection_dataset(tmp_path).problems
    assert [(p.kind, p.path.name) for p in problems] == [("unlabeled image", "c.jpg")]


def test_tensorflow(tmp_path):
    write_images(tmp_path, {"train": ["a"], "test": ["b"]}, "images/{split}/{name}.jpg")
    write_labels(tmp_path / "data/train_labels.csv", [HEADER, *csv_rows("a")])
    write_labels(tmp_path / "data/test_labels.csv", [HEADER, *csv_rows("b")])
    splits = BOX_TABLE.read(DatasetFiles(tmp_path)).splits
    assert {split: [image.path for image in images] for split, images in splits.items()} == {
        "train": [tmp_path / "images/train/a.jpg"],
        "test": [tmp_path / "images/test/b.jpg"],
    }


def test_tables_that_were_made_from_pascal_voc(tmp_path):
    write_voc(tmp_path, {"train": ["a"], "val": ["b"]})
    write_labels(tmp_path / "labels.csv", [HEADER, *csv_rows("ab")])
    assert BOX_TABLE.match(DatasetFiles(tmp_path)).certainty == RELATED
    assert load_detection_dataset(tmp_path).format.startswith("Pascal VOC")


def test_retinanet(tmp_path):
    write_retinanet(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    annotations = BOX_TABLE.read(DatasetFiles(tmp_path))
    a, c = annotations.splits["train"]
    assert (a.boxes, a.names) == ([(8, 6, 40, 36), (0, 30, 20, 60)], ["cell", "worm"])
    assert (c.boxes, c.size) == ([], None)
    assert annotations.class_names == ("cell", "worm")
    assert tmp_path / "classes.csv" in annotations.used


@pytest.mark.parametrize("text", ["cell,1\nworm,2\n", "cell,0\nworm,0", "name,id\ncell,0", "cell"])
def test_a_table_of_something_else_than_the_classes(tmp_path, text):
    write_retinanet(tmp_path, {"train": ["a"]})
    (tmp_path / "classes.csv").write_text(text)
    assert BOX_TABLE.read(DatasetFiles(tmp_path)).class_names is None


def test_columns_in_another_order_with_splits(tmp_path):
    rows = ["X_Max;X_Min;Y_Min;Y_Max;Label;Image_Path;Split", "40;8;6;36;cell;a.jpg;Val"]
    (image,) = read(tmp_path, rows).splits["validation"]
    assert (image.path, image.boxes) == (tmp_path / "a.jpg", [(8, 6, 40, 36)])


@pytest.mark.parametrize(
    ("row", "where", "what"),
    [
        ("a.jpg,80,60,cell,8,6,40,x", "a.jpg", "line 3: each side must be a number. Received: 'x'"),
        ("a.jpg,80,60,cell,8,6,40,inf", "a.jpg", "line 3: each side must be a number"),
        ("a.jpg,80,60,cell,8,6", "a.jpg", "line 3: each side must be a number. Received: ''"),
        ("a.jpg,80,60,,8,6,40,36", "a.jpg", "line 3: the class is missing"),
        ("a.jpg,wide,60,cell,8,6,40,36", "a.jpg", "line 3: the size of the image must be a number"),
        (",80,60,cell,8,6,40,36", "line 3", "it has no path"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, row, where, what):
    annotations = read(tmp_path, [HEADER, *csv_rows("b"), row, "", *csv_rows("a")[:1]])
    (problem,) = annotations.problems
    assert (problem.kind, problem.where) == ("malformed annotation", where)
    assert what in problem.reason
    names = {image.path.stem for image in annotations.splits["train"]}
    assert names == ({"b"} if where == "a.jpg" else {"a", "b"})


def test_a_split_of_another_name(tmp_path):
    rows = ["path,class,x1,y1,x2,y2,split", "a.jpg,cell,1,2,30,40,dev"]
    (problem,) = read(tmp_path, rows).problems
    assert "line 2: the split must be one of train, validation, test" in problem.reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\na.jpg,cell",
        "filename,xmin,ymin,xmax,ymax\na.jpg,1,2,3,4",
        "a.jpg,1,2,3,4,5,6",
    ],
)
def test_other_tables(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    for source in (tmp_path, tmp_path / "a.csv"):
        assert BOX_TABLE.match(DatasetFiles(source)) is None
        with pytest.raises(ValueError, match="has no file in this format"):
            BOX_TABLE.read(DatasetFiles(source))


def test_rows_with_more_values_than_columns(tmp_path):
    """A comma in a name that is not quoted would shift the values behind it."""
    write_image(tmp_path / "a.jpg")
    (tmp_path / "a.csv").write_text("b.jpg,1,2,30,40,cell\na.jpg,1,2,30,40,cell, big\n")
    annotations = read_dataset(tmp_path)
    assert [image.path.name for image in annotations.splits["train"]] == ["b.jpg"]
    assert [p.kind for p in annotations.problems if p.stops] == ["malformed annotation"]
