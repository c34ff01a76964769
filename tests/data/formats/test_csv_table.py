"""The reader of CSV files."""

import pytest
from PIL import Image

from cspdarknet.data import load_classification_dataset, read_dataset
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats import csv_table
from image_datasets import COLORS, write_class_folders

pytestmark = pytest.mark.one_backend


def test_paths_labels_and_splits(tmp_path):
    file = tmp_path / "images.csv"
    file.write_text("File,class,split\na/0.png,cat,train\na/1.png, dog ,val\na/2.png,cat,\n")
    assert csv_table.read(DatasetFiles(file)).splits == {
        "train": [(tmp_path / "a/0.png", "cat"), (tmp_path / "a/2.png", "cat")],
        "validation": [(tmp_path / "a/1.png", "dog")],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "column 'path'"),
        (b"path\na.png", "column 'label'"),
        (b"path,label\n\xff.png,x", "not text in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        csv_table.read(DatasetFiles(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        ("path,label,split\na.png,x,dev", "malformed annotation", "one of train, validation, test"),
        ("path,label\na.png,", "malformed annotation", "path or the class is missing"),
        ("path,label\nb.png,x\na.png,x\na.png,y", "repeated image", "a second time"),
    ],
)
def test_rows_that_cannot_be_used_are_problems(tmp_path, rows, kind, message):
    (tmp_path / "a.csv").write_text(rows)
    (problem,) = csv_table.read(DatasetFiles(tmp_path / "a.csv")).problems
    assert problem.kind == kind
    assert problem.where == f"line {rows.count(chr(10)) + 1}"
    assert message in problem.reason


def test_a_table_in_a_folder_as_windows_writes_it(tmp_path):
    """With a byte order mark, semicolons, backslashes, other case, and paths of another machine."""
    write_class_folders(tmp_path / "Photos", 2)
    lines = ["image_id;label"] + [
        f"c:\\old\\photos\\{n}\\{i}.PNG;{n}" for n in COLORS for i in (0, 1)
    ]
    (tmp_path / "labels.csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
    annotations = read_dataset(tmp_path, format="csv")
    assert {
        (i.path.relative_to(tmp_path / "Photos").as_posix(), i.class_name)
        for i in annotations.splits["train"]
    } == {(f"{n}/{i}.png", n) for n in COLORS for i in (0, 1)}
    assert annotations.problems == []


def test_tables_of_splits_with_names_without_suffixes(tmp_path):
    for split, count in (("train", 3), ("test", 1)):
        write_class_folders(tmp_path / split, count)
        names = [(n, i) for n in COLORS for i in range(count)]
        for n, i in names:
            (tmp_path / split / n / f"{i}.png").rename(tmp_path / split / f"{n}{i}.png")
        rows = "\n".join(f"{n}{i},{n}" for n, i in names)
        (tmp_path / f"{split}.csv").write_text(f"id,label\n{rows}")
        for n in COLORS:
            (tmp_path / split / n).rmdir()
    (tmp_path / "sample_submission.csv").write_text("id,label\nblue0,red")
    splits = load_classification_dataset(tmp_path, 0.3)
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (9, 3)
    assert {path.parent.name for path in splits.test.paths} == {"test"}
    for path, label in zip(splits.train.paths, splits.train.labels, strict=True):
        assert path.stem[:-1] == splits.class_names[label]


def test_rows_with_more_values_than_columns(tmp_path):
    """A comma in a name that is not quoted would cut it."""
    (tmp_path / "a.csv").write_text("path,label\na.jpg,cat, tabby\nb.jpg,dog,\n")
    annotations = csv_table.read(DatasetFiles(tmp_path / "a.csv"))
    assert [image.class_name for image in annotations.splits["train"]] == ["dog"]
    (problem,) = annotations.problems
    assert (problem.kind, problem.where) == ("malformed annotation", "line 2")


@pytest.mark.parametrize(
    "columns", ["x,y,width,height", "bbox_x,bbox_y,bbox_w,bbox_h", "x0,y0,x,y"]
)
def test_tables_of_boxes_are_not_those_of_classes(tmp_path, columns):
    (tmp_path / "a.csv").write_text(f"filename,class,{columns}\na.jpg,cat,1,2,3,4\n")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match="is not a dataset"):
        read_dataset(tmp_path)


def test_a_table_in_another_encoding_is_named(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / "labels.csv").write_bytes("path,label\n0.png,größe".encode("cp1252"))
    for source in (tmp_path / "labels.csv", tmp_path):
        with pytest.raises(ValueError, match=r"labels\.csv is not text in UTF-8.* Save it in"):
            read_dataset(source)


def test_all_classes_of_an_image(tmp_path):
    write_class_folders(tmp_path, 2)
    rows = ["image_name,tags,split", 'blue/0.png,"cat, dog",train', "blue/1.png,,train"]
    rows += ["red/0.png,owl,val", "nothing.png,cat,dev", ",cat,train"]
    (tmp_path / "labels.csv").write_text("\n".join(rows).replace("image_name", "image"))
    annotations = read_dataset(tmp_path / "labels.csv", "classification", labels="multi")
    assert annotations.splits == {
        "train": [(tmp_path / "blue/0.png", ("cat", "dog")), (tmp_path / "blue/1.png", ())],
        "validation": [(tmp_path / "red/0.png", ("owl",))],
    }
    assert [problem.where for problem in annotations.problems] == ["line 5", "line 6"]
