"""What the readers of files that list many images share, tried on all of them."""

import contextlib

import numpy as np
import pytest

from annotation_files import (
    CONTENT,
    WRITERS,
    assert_content,
    cvat_xml,
    labelme,
    via,
    write_coco,
    write_createml,
    write_cvat,
    write_darknet,
    write_image,
    write_json,
    write_keras_lists,
    write_labelme,
    write_labels,
    write_retinanet,
    write_roboflow_csv,
    write_roboflow_darknet,
    write_roboflow_yolo,
    write_via,
    write_voc,
    yolo_lines,
)
from cspdarknet.data import load_detection_dataset, load_detection_split
from cspdarknet.data.detection.checks import check_annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats import FORMATS
from cspdarknet.data.read import read_dataset

pytestmark = pytest.mark.one_backend

NAMES = {
    write_darknet: "Darknet",
    write_roboflow_darknet: "Darknet",
    write_retinanet: "CSV boxes",
    write_cvat: "CVAT",
    write_via: "VIA",
    write_createml: "CreateML",
    write_labelme: "LabelMe",
    write_keras_lists: "keras-yolo3",
}
# The file of the training split, for those that list many images in one.
FILES = {
    write_retinanet: "train.csv",
    write_roboflow_csv: "train/_annotations.csv",
    write_cvat: "train/annotations.xml",
    write_via: "train/via_region_data.json",
    write_createml: "train/_annotations.createml.json",
    write_keras_lists: "train.txt",
}


@pytest.mark.parametrize("write", NAMES)
def test_every_format_gives_the_same_dataset(tmp_path, write):
    write(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    splits = load_detection_dataset(tmp_path)
    assert splits.format.startswith(f"{NAMES[write]}: ")
    assert splits.class_names == ("cell", "worm")
    assert [path.stem for path in splits.train.paths] == ["a", "c"]
    assert [path.stem for path in splits.validation.paths] == ["b"]
    assert splits.problems == ()
    for dataset in (splits.train, splits.validation):
        assert_content(dataset)
        assert all(path.is_file() for path in dataset.paths)


@pytest.mark.parametrize("write", NAMES)
def test_a_test_split_is_kept_apart(tmp_path, write):
    write(tmp_path, {"train": ["c", "a"], "test": ["b"]})
    name, dataset, problems = load_detection_split(tmp_path, ("worm", "cell"))
    assert (name, problems) == ("test", ())
    assert [path.stem for path in dataset.paths] == ["b"]
    assert_content(dataset)


@pytest.mark.parametrize("write", FILES)
def test_the_user_names_one_file(tmp_path, write):
    write(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    name, dataset, _ = load_detection_split(tmp_path / FILES[write], ("cell", "worm"))
    assert name == "all"
    assert [path.stem for path in dataset.paths] == ["a", "b"]
    assert_content(dataset)


@pytest.mark.parametrize("write", FILES)
def test_an_upper_case_suffix_and_a_byte_order_mark(tmp_path, write):
    write(tmp_path, {"train": ["a"], "val": ["b"]})
    for path in (tmp_path / FILES[write], tmp_path / FILES[write].replace("train", "val")):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b".jpg", b".JPG"))
        path.rename(path.with_suffix(path.suffix.upper()))
    splits = load_detection_dataset(tmp_path)
    assert splits.problems == ()
    assert_content(splits.train)
    assert [path.stem for path in splits.validation.paths] == ["b"]


@pytest.mark.parametrize("write", FILES)
def test_paths_of_a_windows_machine(tmp_path, write):
    write(tmp_path, {"train": ["a"], "val": ["b"]})
    for path in (tmp_path / FILES[write], tmp_path / FILES[write].replace("train", "val")):
        text = path.read_text().replace("my images/", "").replace("images/", "")
        slash = "\\\\" if path.suffix == ".json" else "\\"
        for name in "ab":
            text = text.replace(f"{name}.jpg", f"C:{slash}photos{slash}{name}.jpg")
        path.write_text(text)
    splits = load_detection_dataset(tmp_path)
    assert splits.problems == ()
    assert_content(splits.train)


@pytest.mark.parametrize("write", [*NAMES, write_roboflow_csv, *WRITERS])
def test_no_format_fails_on_the_files_of_another(tmp_path, write):
    write(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    named = [path for path in tmp_path.rglob("*") if path.is_file()]
    for files in map(DatasetFiles, [tmp_path, *named]):
        best = [match for format in FORMATS if (match := format.match(files))]
        highest = max((match.certainty for match in best), default=0)
        assert sum(match.certainty == highest for match in best) <= 1
    for format in FORMATS:
        for path in (tmp_path, named[0]):
            with contextlib.suppress(ValueError):
                read_dataset(path, format=format.name)


def test_files_that_were_made_from_a_dataset_do_not_replace_it(tmp_path):
    splits = {"train": ["a", "c"], "val": ["b"]}
    for write, format in ((write_coco, "COCO"), (write_voc, "Pascal VOC")):
        folder = write(tmp_path / format, splits)
        write_json(folder / "via_project.json", {"_via_img_metadata": via(CONTENT)})
        rows = ["filename,class,xmin,ymin,xmax,ymax", "a.jpg,other,1,2,30,40"]
        write_labels(folder / "data.txt", ["a.jpg 1,2,30,40,0"])
        write_labels(folder / "train_labels.csv", rows)
        (folder / "annotations.xml").write_text(cvat_xml(CONTENT))
        for name in CONTENT:
            write_json(folder / f"labelme/{name}.json", labelme(name))
        # Which files are not used is noted, but stops no training.
        dataset = load_detection_dataset(folder)
        assert dataset.format.startswith(format)
        assert "annotations.xml is not used" in {problem.reason for problem in dataset.problems}


def test_a_data_yaml_comes_before_darknet_and_darknet_before_what_it_was_made_from(tmp_path):
    folder = write_roboflow_yolo(tmp_path / "a", {"train": ["a", "c"], "val": ["b"]})
    write_labels(folder / "obj.data", ["train = train.txt", "names = obj.names"])
    assert load_detection_dataset(folder).format.startswith("YOLO")
    folder = write_darknet(tmp_path / "b", {"train": ["a"], "val": ["c"]})
    write_json(folder / "via.json", via(CONTENT))
    write_image(folder / "data/obj/b.jpg")
    write_labels(folder / "data/obj/b.txt", yolo_lines("b"))
    assert load_detection_dataset(folder).format.startswith("Darknet")


def test_a_format_of_another_task(tmp_path):
    write_via(tmp_path, {"train": ["a"], "val": ["b"]})
    assert load_detection_dataset(tmp_path, format="via").format.startswith("VIA")
    with pytest.raises(ValueError, match=r"for detection\. Received: format='CSV', which is"):
        load_detection_dataset(tmp_path, format="CSV")


def test_files_of_the_same_split_whose_images_have_the_same_names(tmp_path):
    for day in ("day1", "day2"):
        write_image(tmp_path / day / "images/a.jpg", (80, 60))
        (tmp_path / day / "annotations.xml").write_text(cvat_xml(["a"]))
    images = read_dataset(tmp_path).splits["train"]
    assert [image.path.parts[-3] for image in images] == ["day1", "day2"]


def test_a_file_that_describes_some_images_of_another_is_refused(tmp_path):
    write_via(tmp_path, {"train": ["a", "b"]})
    write_json(tmp_path / "train/via_more.json", via(["b", "c"]))
    write_image(tmp_path / "train/c.jpg")
    with pytest.raises(ValueError, match=r"1 image of 2 are also in train/via_more\.json"):
        read_dataset(tmp_path)
    write_json(tmp_path / "train/via_more.json", via(["b", "a"]))
    (problem, *_) = read_dataset(tmp_path).problems
    assert (problem.kind, problem.path.name) == ("unused file", "via_region_data.json")


def test_all_files_are_read_where_a_folder_has_many(tmp_path):
    for i in range(60):
        write_image(tmp_path / f"{i}.jpg")
        content = via(["a"])
        content["a.jpg631"]["filename"] = f"{i}.jpg"
        write_json(tmp_path / f"{i}.json", content)
    assert len(read_dataset(tmp_path).splits["train"]) == 60


def test_images_of_other_sizes_than_stated(tmp_path):
    for write in (write_cvat, write_roboflow_csv, write_labelme):
        folder = write(tmp_path / write.__name__, {"train": ["a", "c"], "val": ["b"]})
        (image,) = folder.rglob("a.jpg")
        write_image(image, (81, 60))
        _, problems = check_annotations(read_dataset(folder).splits["train"], ("cell", "worm"))
        assert [problem.kind for problem in problems if problem.stops] == ["image size"]


def test_missing_images_and_names_that_several_have(tmp_path):
    for write in FILES:
        folder = write(tmp_path / write.__name__, {"train": ["a", "b"], "val": ["c"]})
        (image,) = folder.rglob("a.jpg")
        image.unlink()
        _, problems = check_annotations(read_dataset(folder).splits["train"], ("cell", "worm"))
        kinds = [problem.kind for problem in problems]
        assert kinds == ["missing image"], write
        for day in ("day1", "day2"):
            write_image(folder / day / "a.jpg")
        annotations = read_dataset(folder)
        _, problems = check_annotations(annotations.splits["train"], ("cell", "worm"))
        kinds = [problem.kind for problem in annotations.problems + problems if problem.stops]
        # It is missing from a folder that the file names, or from that of the file itself.
        assert kinds in (["ambiguous image"], ["missing image"]), write


def test_boxes_are_float(tmp_path):
    splits = load_detection_dataset(write_cvat(tmp_path, {"train": ["a"], "val": ["b"]}))
    np.testing.assert_array_equal(splits.train.boxes[0], [(8, 6, 40, 36), (0, 30, 20, 60)])
