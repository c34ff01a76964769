"""Loading of datasets for object detection, from every format."""

import numpy as np
import pytest

from annotation_files import (
    WRITERS,
    assert_content,
    coco,
    voc_xml,
    write_coco,
    write_json,
    write_voc,
    write_yolo,
    write_yolo_config,
)
from cspdarknet.data import DetectionDataset, load_detection_dataset, load_detection_split
from cspdarknet.data.detection.find import rarest_classes
from support import SHARED

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_dataset(tmp_path, write):
    splits = load_detection_dataset(write(tmp_path, {"train": ["a", "c"], "val": ["b"]}))
    assert splits.class_names == ("cell", "worm")
    assert [path.stem for path in splits.train.paths] == ["a", "c"]
    assert [path.stem for path in splits.validation.paths] == ["b"]
    assert splits.test is None
    assert not [problem for problem in splits.problems if problem.stops]
    for dataset in (splits.train, splits.validation):
        assert_content(dataset)
        assert all(path.is_file() for path in dataset.paths)
    np.testing.assert_array_equal(splits.train.counts, [1, 1])


@pytest.mark.parametrize("write", [write_voc, write_coco, write_yolo])
def test_a_detector_is_evaluated_on_the_split_that_was_kept_apart(tmp_path, write):
    write(tmp_path, {"train": ["a"], "val": ["c"], "test": ["b"]})
    name, dataset, problems = load_detection_split(tmp_path, ("worm", "cell"))
    assert name == "test"
    assert not [problem for problem in problems if problem.stops]
    assert [path.stem for path in dataset.paths] == ["b"]
    assert_content(dataset)
    with pytest.raises(ValueError, match="unknown class 'cell'"):
        load_detection_split(tmp_path, ("worm",), "raise")


def test_the_classes_and_their_order_can_be_given(tmp_path):
    write_voc(tmp_path, {"train": ["a"], "val": ["b"]})
    splits = load_detection_dataset(tmp_path, class_names=["worm", "cell", "egg"])
    assert splits.class_names == ("worm", "cell", "egg")
    assert_content(splits.train)


def test_images_are_grouped_by_their_rarest_class():
    labels = [[0, 0, 1]] * 4 + [[0]] * 20 + [[]] * 8
    dataset = DetectionDataset(
        ("common", "rare"),
        tuple(f"{i}.jpg" for i in range(32)),
        tuple(np.zeros((len(k), 4), "float32") for k in labels),
        tuple(np.array(k, "int32") for k in labels),
        tuple(np.zeros(len(k), bool) for k in labels),
    )
    groups = rarest_classes(dataset)
    assert [len(set(groups[part])) for part in (slice(4), slice(4, 24), slice(24, 32))] == [1] * 3
    assert len(set(groups)) == 3
    # Where each image would be a group of its own, none could be set aside.
    assert rarest_classes(dataset.take([0, 4, 24])).tolist() == [0, 0, 0]


def test_problems_are_raised_or_fixed_and_listed(tmp_path):
    write_voc(tmp_path, {"train": ["a"], "val": ["b"]})
    boxes = [("cell", (-30, 6, 40, 36)), ("cell", (1, 2, 30, 40)), ("cell", (9, 9, 9, 9))]
    (tmp_path / "Annotations/a.xml").write_text(voc_xml(boxes))
    with pytest.raises(ValueError, match=r"2 problems in 1 file\.(.|\n)*beyond(.|\n)*'fix'"):
        load_detection_dataset(tmp_path)
    splits = load_detection_dataset(tmp_path, on_problem="fix")
    np.testing.assert_array_equal(splits.train.boxes[0], [(0, 6, 40, 36), (1, 2, 30, 40)])
    texts = [str(problem) for problem in splits.problems]
    assert len(texts) == 2
    assert texts[0].endswith("a.jpg, box 1: the box (-30, 6, 40, 36) extends beyond the image")
    (tmp_path / "Annotations/a.xml").write_text(voc_xml(boxes[2:] * 9))
    with pytest.raises(ValueError, match=r"9 problems in 1 file\.(.|\n)*and 4 more"):
        load_detection_dataset(tmp_path)
    with pytest.raises(ValueError, match="`on_problem` must be one of 'raise', 'fix'"):
        load_detection_dataset(tmp_path, on_problem="ignore")


def test_an_image_in_two_splits_is_used_in_the_first(tmp_path):
    write_voc(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    (tmp_path / "ImageSets/Main/val.txt").write_text("c\nb\n")
    with pytest.raises(ValueError, match="more than once"):
        load_detection_dataset(tmp_path)
    splits = load_detection_dataset(tmp_path, on_problem="fix")
    assert [path.stem for path in splits.train.paths] == ["a", "b"]
    assert [path.stem for path in splits.validation.paths] == ["c"]


def test_classes_of_the_same_name(tmp_path):
    write_yolo(tmp_path / "yolo", {"train": ["a", "b"]})
    (tmp_path / "yolo/classes.txt").write_text("cell\nworm\ncell\n")
    content = coco(["a", "b"])
    content["categories"][0]["name"] = "cell"
    write_json(tmp_path / "coco/a.json", content)
    for data in (tmp_path / "yolo", tmp_path / "coco"):
        with pytest.raises(ValueError, match=r"the same name: cell\."):
            load_detection_dataset(data)
    (tmp_path / "yolo/classes.txt").write_text("cell\nworm\n")
    with pytest.raises(ValueError, match=r"the same name: a, b\."):
        load_detection_dataset(tmp_path / "yolo", class_names=list("aabb"))


def test_data_that_cannot_be_used(tmp_path):
    with pytest.raises(ValueError, match=r"is not a dataset for detection\. Received: no files"):
        load_detection_dataset(tmp_path)
    with pytest.raises(ValueError, match="There is no folder or file"):
        load_detection_dataset(tmp_path / "missing")
    with pytest.raises(ValueError, match="validation_split"):
        load_detection_dataset(tmp_path, validation_split=0)
    write_yolo(tmp_path, {"train": ["c"], "val": ["a"]})
    with pytest.raises(ValueError, match="no images with boxes to train on"):
        load_detection_dataset(tmp_path)
    write_yolo(tmp_path / "one", {"train": ["a"]})
    with pytest.raises(ValueError, match="single image"):
        load_detection_dataset(tmp_path / "one")
    write_yolo(tmp_path / "none", {"train": ["a"]})
    (tmp_path / "none/images/train/a.jpg").unlink()
    with pytest.raises(ValueError, match="no images to evaluate on"):
        load_detection_split(tmp_path / "none", ("cell", "worm"))


@pytest.mark.skipif(not (SHARED / "data/bccd").is_dir(), reason="the BCCD images are not there")
def test_real_images_of_blood():
    splits = load_detection_dataset(SHARED / "data/bccd", on_problem="fix")
    assert [len(splits.train), len(splits.validation)] == [205, 87]
    assert splits.class_names == ("Platelets", "RBC", "WBC")
    np.testing.assert_array_equal(splits.train.counts, [209, 2381, 214])
    texts = [problem.reason for problem in splits.problems if problem.stops]
    assert len(texts) == 2
    assert all("has no area" in text for text in texts)


def test_a_test_split_without_annotations_is_not_evaluated_on(tmp_path):
    """As it is often published."""
    write_yolo_config(tmp_path, {"train": ["a"], "val": ["b"], "test": ["c"]})
    found = load_detection_split(tmp_path, ["cell", "worm"])
    assert (found.name, [path.stem for path in found.dataset.paths]) == ("validation", ["b"])
    assert "split without boxes" in [problem.kind for problem in found.problems]
