"""The reader of Pascal VOC."""

import numpy as np
import pytest

from annotation_files import (
    CONTENT,
    assert_content,
    voc_xml,
    write_image,
    write_labels,
    write_voc,
    write_yolo_config,
)
from cspdarknet.data import read_dataset
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats import voc
from cspdarknet.data.formats.xml import parse_xml
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


def test_difficult_objects_are_ignored(tmp_path):
    write_voc(tmp_path, {"test": ["b"]})
    (tmp_path / "Annotations/b.xml").write_text(voc_xml(CONTENT["b"], difficult=1))
    dataset = load_detection_split(tmp_path, ("cell",)).dataset
    assert dataset.ignored[0].tolist() == [True]


def test_sizes_with_a_fraction(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    xml = voc_xml(CONTENT["a"], size=("80.0", "60.0"))
    (tmp_path / "Annotations/a.xml").write_text(xml)
    assert_content(load_detection_dataset(tmp_path).train)


def test_the_list_of_a_class_is_not_that_of_a_split(tmp_path):
    write_voc(tmp_path, {"train": ["a", "b"], "cell_val": ["b"]})
    assert list(voc.read(DatasetFiles(tmp_path)).splits) == ["train"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<annotation><object>", "not XML"),
        ("<note/>", "begins with <note>, not with <annotation>"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "not XML"),
        ('<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation/>', "declares a document type"),
        (voc_xml([("cell", ("one", 6, 40, 36))]), "not in the Pascal VOC format"),
        (None, "has no XML file"),
    ],
)
def test_xml_files_that_cannot_be_read_are_problems(tmp_path, text, what):
    write_voc(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    file = tmp_path / "Annotations/b.xml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    annotations = voc.read(DatasetFiles(tmp_path))
    assert [image.path.stem for image in annotations.splits["train"]] == ["a"]
    (problem,) = annotations.problems
    assert problem.path.stem == "b"
    assert what in problem.reason


def test_a_large_xml_file_is_refused(tmp_path):
    with (tmp_path / "a.xml").open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(ValueError, match="larger than"):
        parse_xml(tmp_path / "a.xml")


# Where the images are.


def test_the_file_name_decides_between_images_of_the_same_name(tmp_path):
    """A mask or a thumbnail is beside the image."""
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    for name in "abc":
        write_image(tmp_path / f"JPEGImages/{name}.png", (8, 8))
        file = tmp_path / f"Annotations/{name}.xml"
        file.write_text(file.read_text().replace("stale.jpg", f"{name}.JPG"))
    splits = load_detection_dataset(tmp_path)
    assert_content(splits.train)
    assert {path.suffix for path in splits.train.paths + splits.validation.paths} == {".jpg"}
    file.write_text(file.read_text().replace("c.JPG", "stale.jpg"))
    (problem,) = [p for p in read_dataset(tmp_path).problems if p.stops]
    assert (problem.kind, problem.path.name) == ("ambiguous image", "c.xml")


def test_masks_in_a_folder_of_their_own(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    for name in "abc":
        write_image(tmp_path / f"SegmentationClass/{name}.png", (8, 8))
    splits = load_detection_dataset(tmp_path)
    assert_content(splits.train)
    assert {problem.kind for problem in splits.problems} == {"unlabeled image"}


def test_subfolders(tmp_path):
    lists = {"train": ["day1/a", "day2/a"], "val": ["day1/b"]}
    for split, names in lists.items():
        write_image(tmp_path / f"ImageSets/Main/{split}.jpg").unlink()
        (tmp_path / f"ImageSets/Main/{split}.txt").write_text("\n".join(names))
        for name in names:
            write_image(tmp_path / f"JPEGImages/{name}.jpg")
            file = tmp_path / f"Annotations/{name}.xml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(voc_xml(CONTENT[name[-1]]))
    splits = load_detection_dataset(tmp_path)
    assert_content(splits.train)
    assert [path.parent.name for path in splits.train.paths] == ["day1", "day2"]
    assert [path.stem for path in splits.validation.paths] == ["b"]


@pytest.mark.parametrize(
    ("annotations", "images"),
    [("annots", "images"), ("annotations", "img"), ("labels", "images"), ("x/y", "x/y/photos")],
)
def test_folders_of_other_names(tmp_path, annotations, images):
    for name in CONTENT:
        write_image(tmp_path / images / f"{name}.jpg")
        file = tmp_path / annotations / f"{name}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(voc_xml(CONTENT[name]))
    dataset = load_detection_split(tmp_path, ("cell", "worm")).dataset
    assert len(dataset) == 3
    assert_content(dataset)


def test_lists_written_on_windows(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    lines = ".\\JPEGImages\\a.jpg\r\nJPEGImages\\c.jpg\r\n"
    (tmp_path / "ImageSets/Main/train.txt").write_text(lines, encoding="utf-8-sig")
    assert [p.stem for p in load_detection_dataset(tmp_path).train.paths] == ["a", "c"]


def test_xml_files_of_something_else(tmp_path):
    """An exported model beside `data.yaml`, which describes the dataset."""
    write_yolo_config(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    (tmp_path / "model.xml").write_text("<net><layers/></net>")
    annotations = read_dataset(tmp_path)
    assert annotations.format.startswith("YOLO")
    assert {problem.reason for problem in annotations.problems} == {"model.xml is not used"}


def test_a_few_files_beside_class_folders(tmp_path):
    write_class_folders(tmp_path, 2)
    (tmp_path / "red/0.xml").write_text(voc_xml(CONTENT["a"]))
    assert read_dataset(tmp_path).task == "classification"


def test_two_datasets_beside_each_other(tmp_path):
    """The names of their images are the same; each list is for the files beside it."""
    write_voc(tmp_path / "VOC2007", {"train": ["a"], "val": ["b"]})
    write_voc(tmp_path / "VOC2012", {"train": ["c", "a"], "val": ["b"]})
    splits = load_detection_dataset(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in splits.train.paths]
    assert sorted(names) == [
        *("VOC2007/JPEGImages/a.jpg", "VOC2012/JPEGImages/a.jpg", "VOC2012/JPEGImages/c.jpg"),
    ]
    assert_content(splits.train)
    assert len(splits.validation) == 2


def test_lists_beside_the_folders(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    for split in ("train", "val"):
        (tmp_path / f"ImageSets/Main/{split}.txt").rename(tmp_path / f"{split}.txt")
    splits = load_detection_dataset(tmp_path)
    assert [path.stem for path in splits.train.paths] == ["a", "c"]
    assert [path.stem for path in splits.validation.paths] == ["b"]


def test_an_xml_file_without_an_image(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    (tmp_path / "JPEGImages/c.jpg").unlink()
    problems = [problem for problem in read_dataset(tmp_path).problems if problem.stops]
    assert [(p.kind, p.path.name) for p in problems] == [("label without image", "c.xml")]


def test_the_file_name_decides_before_the_folder(tmp_path):
    """A mask beside the XML file is nearer than the image."""
    write_image(tmp_path / "Annotations/a.png")
    write_image(tmp_path / "JPEGImages/a.jpg")
    (tmp_path / "Annotations/a.xml").write_text(voc_xml(CONTENT["a"]).replace("stale.jpg", "a.jpg"))
    (image,) = read_dataset(tmp_path).splits["train"]
    assert image.path == tmp_path / "JPEGImages/a.jpg"


@pytest.mark.parametrize(
    ("xml", "other"),
    [
        ("Annotations/day1/a.xml", "JPEGImages/day2/a.jpg"),
        ("train/a.xml", "valid/a.jpg"),
    ],
)
def test_an_image_of_another_folder_or_split_is_not_taken(tmp_path, xml, other):
    for name in (other, "JPEGImages/day1/b.jpg", "train/c.jpg"):
        write_image(tmp_path / name)
    (tmp_path / xml).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / xml).write_text(voc_xml(CONTENT["a"]).replace("stale.jpg", "a.jpg"))
    annotations = read_dataset(tmp_path, format="Pascal VOC")
    assert not annotations.splits
    assert [p.kind for p in annotations.problems if p.stops] == ["label without image"]


def test_names_of_images_are_not_splits(tmp_path):
    for name in ("test_1", "rome_1", "val"):
        write_image(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.xml").write_text(voc_xml(CONTENT["a"]))
    assert {s: len(i) for s, i in read_dataset(tmp_path).splits.items()} == {"train": 3}


def test_lists_of_other_tasks_are_not_splits(tmp_path):
    """As in the development kit: an image may be for training in one and not in another."""
    write_voc(tmp_path, {"train": ["a"], "val": ["b"], "trainval": ["a", "b"]})
    for name, image in (("Segmentation/train", "b"), ("Layout/val", "a")):
        write_labels(tmp_path / f"ImageSets/{name}.txt", [image])
    splits = load_detection_dataset(tmp_path)
    assert [splits.train.paths[0].stem, splits.validation.paths[0].stem] == ["a", "b"]
    notes = {problem.path.name for problem in splits.problems if problem.kind == "unused file"}
    assert {"Segmentation", "Layout"} <= notes


def test_numbers_behind_the_names_of_a_list(tmp_path):
    """The Oxford pets have `name class species breed`; a name may have a number, too."""
    write_voc(tmp_path, {"train": ["a"]})
    write_image(tmp_path / "JPEGImages/b 7.jpg")
    (tmp_path / "Annotations/b 7.xml").write_text(voc_xml(CONTENT["b"]))
    write_labels(tmp_path / "ImageSets/Main/train.txt", ["a 1 -2 1"])
    write_labels(tmp_path / "ImageSets/Main/val.txt", ["b 7"])
    annotations = read_dataset(tmp_path)
    assert {s: [i.path.stem for i in images] for s, images in annotations.splits.items()} == {
        "train": ["a"],
        "validation": ["b 7"],
    }


def test_objects_of_other_tools(tmp_path):
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
    turned = "<cx>30</cx><cy>20</cy><w>20</w><h>10</h><angle>1.5707963</angle>"
    contents = {
        "nested": f"<objects><object><name>cell</name>{box}</object></objects>",
        "rotated": f"<object><name>cell</name><robndbox>{turned}</robndbox></object>",
        "difficult": f"<object><name>cell</name><difficult>true</difficult>{box}</object>",
        "two": f"<object><name>cell</name>{box}{box}</object>",
    }
    for name, content in contents.items():
        write_image(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.xml").write_text(f"<annotation>{content}</annotation>")
    annotations = read_dataset(tmp_path)
    images = {image.path.stem: image for image in annotations.splits["train"]}
    assert images["nested"].boxes == [(1, 2, 9, 8)]
    np.testing.assert_allclose(images["rotated"].boxes, [(25, 10, 35, 30)], atol=1e-4)
    assert images["difficult"].ignored == [True]
    assert [(p.kind, p.path.stem) for p in annotations.problems if p.stops] == [
        ("malformed annotation", "two")
    ]
