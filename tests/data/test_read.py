"""The choice of a format, and the files that it does not use."""

import pytest

from annotation_files import coco, voc_xml, write_json, write_voc, write_yolo, write_yolo_config
from cspdarknet.data import load_classification_dataset, read_dataset, recognized_task
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend

SPLITS = {"train": ["a", "c"], "val": ["b"]}


def test_the_most_certain_format_is_taken(tmp_path):
    """A file that declares classes and splits, before annotation files, before folders."""
    write_class_folders(tmp_path, 1)
    assert read_dataset(tmp_path).task == "classification"
    write_voc(tmp_path, SPLITS)
    assert read_dataset(tmp_path).format.startswith("Pascal VOC")
    write_yolo_config(tmp_path, SPLITS)
    assert read_dataset(tmp_path).format.startswith("YOLO")
    assert read_dataset(tmp_path, format="pascal voc").format.startswith("Pascal VOC")


def test_formats_that_fit_equally_well(tmp_path):
    write_voc(tmp_path, SPLITS)
    write_json(tmp_path / "boxes.json", coco("abc"))
    with pytest.raises(ValueError, match=r"COCO: boxes\.json .*; and Pascal VOC: 3 XML files"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path / "boxes.json").format.startswith("COCO")
    assert read_dataset(tmp_path, format="COCO").class_names == ("cell", "worm")
    with pytest.raises(ValueError, match=r"`format` must be one of .*yolo.* Received: format='x'"):
        read_dataset(tmp_path, format="x")


def test_a_dataset_for_the_other_task(tmp_path):
    write_yolo(tmp_path / "boxes", SPLITS)
    with pytest.raises(ValueError, match=r"not a dataset for classification: it is one for det"):
        load_classification_dataset(tmp_path / "boxes")
    write_class_folders(tmp_path / "classes", 1)
    with pytest.raises(ValueError, match="not a dataset for detection: it is one for class"):
        read_dataset(tmp_path / "classes", "detection")
    assert recognized_task(tmp_path / "boxes") == "detection"
    assert recognized_task(tmp_path / "classes") == "classification"


def test_every_file_is_used_or_named(tmp_path):
    write_voc(tmp_path, SPLITS)
    (tmp_path / "Annotations/x.xml").write_text(voc_xml([]))
    for name in ("notes.md", "more.MD", "labels.cache", "JPEGImages/other.jpg", ".hidden"):
        (tmp_path / name).touch()
    problems = {
        (p.kind, p.path.relative_to(tmp_path).as_posix(), p.reason)
        for p in read_dataset(tmp_path).problems
    }
    assert problems == {
        (
            "label without image",
            "Annotations/x.xml",
            "there is no image of this name, and none that it names, stale.jpg",
        ),
        ("unlabeled image", "JPEGImages/other.jpg", "it has no annotation"),
        ("unused file", ".", "2 files .md are not used, such as more.MD"),
        ("unused file", ".", "labels.cache is not used"),
    }
