"""The reader of Darknet."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from annotation_files import (
    assert_content,
    write_darknet,
    write_image,
    write_labels,
    write_roboflow_darknet,
    yolo_lines,
)
from cspdarknet.data import load_detection_dataset, load_detection_split
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.darknet import DARKNET
from cspdarknet.data.formats.format import NAMED

pytestmark = pytest.mark.one_backend
# Stands for the folder above the dataset.
ABOVE = "ABOVE"


def stems(annotations):
    return {
        split: [image.path.stem for image in images] for split, images in annotations.splits.items()
    }


def test_lists_and_classes(tmp_path):
    write_darknet(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    annotations = DARKNET.read(DatasetFiles(tmp_path))
    assert stems(annotations) == {"train": ["a", "c"], "validation": ["b"]}
    (a, c) = annotations.splits["train"]
    np.testing.assert_allclose(a.boxes, [(0.1, 0.1, 0.5, 0.6), (0, 0.5, 0.25, 1)], atol=1e-5)
    assert (a.names, a.relative, c.boxes) == (["cell", "worm"], True, [])
    assert annotations.class_names == ("cell", "worm")
    assert {path.name for path in annotations.used} == {
        *("obj.data", "obj.names", "train.txt", "val.txt", "a.txt", "b.txt", "c.txt")
    }


def test_images_that_no_list_names_are_in_no_split(tmp_path):
    write_darknet(tmp_path, {"train": ["a"], "val": ["c"]})
    write_image(tmp_path / "data/obj/b.jpg")
    write_labels(tmp_path / "data/obj/b.txt", yolo_lines("b"))
    write_image(tmp_path / "data/obj/d.jpg")
    splits = load_detection_dataset(tmp_path)
    assert [path.stem for path in (*splits.train.paths, *splits.validation.paths)] == ["a", "c"]
    notes = [(problem.kind, problem.path.stem) for problem in splits.problems]
    assert notes == [("unlisted image", "b"), ("unlabeled image", "d")]


@pytest.mark.parametrize("named", [True, False])
def test_an_export_of_cvat(tmp_path, named):
    """Its paths begin with a folder `data` that is not there."""
    for name, split in (("a", "train"), ("b", "valid")):
        write_image(tmp_path / f"obj_{split}_data/{name}.jpg")
        write_labels(tmp_path / f"obj_{split}_data/{name}.txt", yolo_lines(name))
        write_labels(tmp_path / f"{split}.txt", [f"data/obj_{split}_data/{name}.jpg"])
    lines = ["classes = 2", "train = data/train.txt", "valid = data/valid.txt"]
    write_labels(tmp_path / "obj.data", [*lines, "names = data/obj.names", "backup = backup/"])
    write_labels(tmp_path / "obj.names", ["cell", "worm"])
    splits = load_detection_dataset(tmp_path / "obj.data" if named else tmp_path)
    assert_content(splits.train)
    assert [path.stem for path in splits.validation.paths] == ["b"]
    assert {problem.kind for problem in splits.problems} == {"moved path"}
    assert len(splits.problems) == 3


def test_paths_of_a_windows_machine(tmp_path):
    write_darknet(tmp_path, {"train": ["a"], "val": ["b"]})
    for path in (tmp_path / "data").glob("*.*"):
        text = path.read_text().replace("data/", "C:/darknet/data/").replace("/", "\\")
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (tmp_path / "data/obj.names").write_bytes(b"\xef\xbb\xbfcell\r\nworm\r\n")
    splits = load_detection_dataset(tmp_path)
    assert splits.class_names == ("cell", "worm")
    assert_content(splits.train)
    assert {problem.kind for problem in splits.problems} == {"moved path"}


def test_labels_in_a_folder_of_their_own(tmp_path):
    write_darknet(tmp_path, {"train": ["a"], "val": ["b"]})
    (tmp_path / "labels").mkdir()
    for path in (tmp_path / "data/obj").glob("*.txt"):
        path.rename(tmp_path / "labels" / path.name)
    (tmp_path / "data/obj").rename(tmp_path / "images")
    assert_content(load_detection_dataset(tmp_path).train)


def test_images_outside_the_folder(tmp_path):
    write_darknet(tmp_path / "darknet", {"train": ["a"], "val": ["b"]})
    outside = tmp_path / "photos/images"
    outside.parent.mkdir()
    shutil.move(tmp_path / "darknet/data/obj", outside)
    (tmp_path / "photos/labels").mkdir()
    for path in outside.glob("*.txt"):
        path.rename(tmp_path / "photos/labels" / path.name)
    for split, name in (("train", "a"), ("val", "b")):
        write_labels(tmp_path / f"darknet/data/{split}.txt", [str(outside / f"{name}.jpg")])
    splits = load_detection_dataset(tmp_path / "darknet")
    assert_content(splits.train)
    assert_content(splits.validation)


def test_absolute_paths_of_a_folder_that_is_named_relatively(tmp_path, monkeypatch):
    write_darknet(tmp_path / "darknet", {"train": ["a"], "val": ["b"]})
    for split, name in (("train", "a"), ("val", "b")):
        image = tmp_path / f"darknet/data/obj/{name}.jpg"
        write_labels(tmp_path / f"darknet/data/{split}.txt", [str(image)])
    monkeypatch.chdir(tmp_path)
    splits = load_detection_dataset("darknet")
    assert splits.problems == ()
    assert_content(splits.train)
    assert splits.train.paths == (Path("darknet/data/obj/a.jpg"),)


def test_several_data_files(tmp_path):
    write_darknet(tmp_path, {"train": ["a"], "val": ["b"]})
    write_labels(tmp_path / "coco.data", ["train = coco/train.txt", "names = data/coco.names"])
    assert stems(DARKNET.read(DatasetFiles(tmp_path)))["train"] == ["a"]
    (tmp_path / "data/obj.data").rename(tmp_path / "data/worms.data")
    assert stems(DARKNET.read(DatasetFiles(tmp_path)))["train"] == ["a"]
    (tmp_path / "data/worms.data").unlink()
    assert DARKNET.match(DatasetFiles(tmp_path)) is None
    assert DARKNET.match(DatasetFiles(tmp_path / "coco.data")).certainty == NAMED


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("data/train.txt", "train = missing.txt"),
        ("data/train.txt", f"train = {ABOVE}/names.txt"),
        ("data/obj.names", f"names = {'x' * 5000}"),
        ("data/obj.names", "names = ../names.txt"),
    ],
)
def test_files_that_are_missing(tmp_path, name, line):
    write_darknet(tmp_path / "darknet", {"train": ["a"], "val": ["b"]})
    path = tmp_path / "darknet/data/obj.data"
    (tmp_path / "darknet" / name).rename(tmp_path / "names.txt")  # which is not read
    path.write_text(path.read_text() + line.replace(ABOVE, str(tmp_path)) + "\n")
    with pytest.raises(ValueError, match=r"obj\.data names a file .*, which is not in .*darknet"):
        load_detection_dataset(tmp_path / "darknet")


def test_a_missing_list_of_the_test_split(tmp_path):
    write_darknet(tmp_path, {"train": ["a"], "val": ["b"]})
    path = tmp_path / "data/obj.data"
    path.write_text(path.read_text() + "test = data/test.txt\n")
    assert load_detection_dataset(tmp_path).test is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xff\xff",
        b"1,2,3",
        b"names = a.names",
        b"train = a.txt",
        b"train = a.txt\nnames = a.names\nlabels = a.list",  # of classification
        b"train = a.txt\nnames = a.names\n" + b"#" * 200_000,
    ],
)
def test_other_data_files(tmp_path, text):
    (tmp_path / "obj.data").write_bytes(text)
    for source in (tmp_path, tmp_path / "obj.data"):
        assert DARKNET.match(DatasetFiles(source)) is None
        with pytest.raises(ValueError, match=r"neither `obj\.data` nor `_darknet\.labels`"):
            DARKNET.read(DatasetFiles(source))


def test_roboflow(tmp_path):
    write_roboflow_darknet(tmp_path, {"train": ["a", "c"], "valid": ["b"]})
    write_image(tmp_path / "docs/logo.jpg")
    for name in ("valid", "test"):
        (tmp_path / name / "_darknet.labels").unlink(missing_ok=True)
    write_image(tmp_path / "test/a.jpg")
    write_labels(tmp_path / "test/a.txt", yolo_lines("a"))
    annotations = DARKNET.read(DatasetFiles(tmp_path))
    assert stems(annotations) == {"test": ["a"], "train": ["a", "c"], "validation": ["b"]}
    assert annotations.class_names == ("cell", "worm")
    assert annotations.problems == []
    name, dataset, _ = load_detection_split(tmp_path / "train/_darknet.labels", ("cell", "worm"))
    assert (name, len(dataset)) == ("all", 2)


def test_roboflow_without_splits(tmp_path):
    write_roboflow_darknet(tmp_path, {"export": ["a", "b"]})
    assert stems(DARKNET.read(DatasetFiles(tmp_path))) == {"train": ["a", "b"]}


def test_folders_with_other_classes(tmp_path):
    write_roboflow_darknet(tmp_path, {"train": ["a"], "valid": ["b"]})
    write_labels(tmp_path / "valid/_darknet.labels", ["worm", "cell"])
    with pytest.raises(ValueError, match="must have the same classes"):
        DARKNET.read(DatasetFiles(tmp_path))
