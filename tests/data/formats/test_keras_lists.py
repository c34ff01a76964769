"""The reader of the lists of keras-yolo3."""

import pytest

from annotation_files import (
    keras_lines,
    write_image,
    write_images,
    write_keras_lists,
    write_labels,
    write_yolo,
)
from cspdarknet.data import load_detection_dataset
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.keras_lists import KERAS_LISTS

pytestmark = pytest.mark.one_backend


def read(folder, lines):
    for name in "abc":
        write_image(folder / f"{name}.jpg")
    write_labels(folder / "train.txt", lines)
    write_labels(folder / "classes.txt", ["cell", "worm"])
    return KERAS_LISTS.read(DatasetFiles(folder))


def test_lists_of_splits_and_paths_with_spaces(tmp_path):
    annotations = KERAS_LISTS.read(
        DatasetFiles(write_keras_lists(tmp_path, {"train": ["a", "c"], "val": ["b"]}))
    )
    a, c = annotations.splits["train"]
    assert a.path == tmp_path / "my images/a.jpg"
    assert (a.boxes, a.names) == ([(8, 6, 40, 36), (0, 30, 20, 60)], ["cell", "worm"])
    assert (c.boxes, c.size) == ([], None)
    assert [image.path.stem for image in annotations.splits["validation"]] == ["b"]
    assert annotations.class_names == ("cell", "worm")
    assert tmp_path / "model_data/my_classes.txt" in annotations.used


def test_a_list_that_was_made_from_the_labels_of_yolo(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    write_labels(tmp_path / "keras.txt", keras_lines("a"))
    assert load_detection_dataset(tmp_path).format.startswith("YOLO")


def test_a_stray_text_file_of_the_name_of_an_image(tmp_path):
    write_keras_lists(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    for i in range(8):
        write_image(tmp_path / f"more/{i}.jpg")
    write_labels(tmp_path / "more/1.txt", ["0 0.5 0.5 0.1 0.1"])
    (tmp_path / "model_data/my_classes.txt").rename(tmp_path / "classes.txt")
    assert load_detection_dataset(tmp_path).format.startswith("keras-yolo3")


def test_roboflow(tmp_path):
    write_images(tmp_path, {"train": ["a"], "valid": ["b"]})
    for split, name, classes in (("train", "a", ["cell", "worm"]), ("valid", "b", ["cell"])):
        write_labels(tmp_path / split / "_annotations.txt", keras_lines(name))
        write_labels(tmp_path / split / "_classes.txt", classes)
    annotations = KERAS_LISTS.read(DatasetFiles(tmp_path))
    assert [image.path for image in annotations.splits["validation"]] == [tmp_path / "valid/b.jpg"]
    assert annotations.class_names == ("cell", "worm")


def test_other_spellings(tmp_path):
    lines = [
        "a.jpg\t8,6,40,36,0  0,30,20.0,60.5,1.0 ",
        "",
        "/home/me/a b.jpg.d/b.JPG 60,15,80,45,0",
    ]
    a, b = read(tmp_path, lines).splits["train"]
    assert a.boxes == [(8, 6, 40, 36), (0, 30, 20, 60.5)]
    assert (b.path, b.boxes) == (tmp_path / "b.jpg", [(60, 15, 80, 45)])


def test_an_image_of_an_unknown_class(tmp_path):
    (image,) = read(tmp_path, ["a.jpg 8,6,40,36,7"]).splits["train"]
    assert image.names == ["id 7"]


@pytest.mark.parametrize(
    ("line", "where", "what"),
    [
        ("a.jpg 8,6,40,36", "a.jpg", "line 3, box 1: a box must be 4 sides and a class"),
        ("a.jpg 8,6,40,36,0 8,6,40", "a.jpg", "line 3, box 2: a box must be"),
        ("a.jpg 8,6,40,36,cell", "a.jpg", "each value must be a number. Received: 'cell'"),
        ("a.jpg 8,6,40,nan,0", "a.jpg", "each value must be a number"),
        ("a.jpg 8,6,40,36,0.5", "a.jpg", "the class must be a whole number. Received: 0.5"),
        ("a.jpg cell", "a.jpg", "a box must be"),
        ("8,6,40,36,0", "line 3", "it must begin with the path of an image"),
    ],
)
def test_lines_that_cannot_be_read(tmp_path, line, where, what):
    annotations = read(tmp_path, [*keras_lines("bc"), line])
    (problem,) = annotations.problems
    assert (problem.kind, problem.where) == ("malformed annotation", where)
    assert what in problem.reason
    assert problem.reason.startswith("line 3")
    assert [image.path.stem for image in annotations.splits["train"]] == ["b", "c"]


def test_the_file_of_the_classes(tmp_path):
    write_keras_lists(tmp_path, {"train": ["a"]})
    write_labels(tmp_path / "model_data/coco_classes.txt", ["person"])
    with pytest.raises(ValueError, match=r"one file of classes .*coco_classes\.txt, .*my_classes"):
        KERAS_LISTS.read(DatasetFiles(tmp_path))
    write_labels(tmp_path / "my.names", ["cell", "worm"])
    assert KERAS_LISTS.read(DatasetFiles(tmp_path)).class_names == ("cell", "worm")
    write_labels(tmp_path / "my.names", ["cell", "", "worm"])
    with pytest.raises(ValueError, match="line 2, must name a class"):
        KERAS_LISTS.read(DatasetFiles(tmp_path))
    (tmp_path / "my.names").write_text("cell" * 300_000)
    with pytest.raises(ValueError, match=r"larger than 1,000,000 bytes"):
        KERAS_LISTS.read(DatasetFiles(tmp_path))
    for path in tmp_path.rglob("*classes.txt"):
        path.unlink()
    (tmp_path / "my.names").unlink()
    with pytest.raises(ValueError, match=r"There is none\."):
        KERAS_LISTS.read(DatasetFiles(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["", "a.jpg\nb.jpg", "0 0.5 0.5 0.1 0.1", "1,2,3,4,0", "some words\nb.jpg 1,2,3,4,0\nmore"],
)
def test_other_text_files(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    for source in (tmp_path, tmp_path / "a.txt"):
        assert KERAS_LISTS.match(DatasetFiles(source)) is None
        with pytest.raises(ValueError, match="has no file in this format"):
            KERAS_LISTS.read(DatasetFiles(source))
