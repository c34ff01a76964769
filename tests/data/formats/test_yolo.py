"""The reader of the YOLO format."""

import sys

import numpy as np
import pytest

from annotation_files import (
    assert_content,
    write_image,
    write_labels,
    write_roboflow_yolo,
    write_voc,
    write_yolo,
    write_yolo_config,
    yolo_lines,
)
from cspdarknet.data import read_dataset
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats import yolo
from cspdarknet.data.formats.yolo_labels import LabelFiles

pytestmark = pytest.mark.one_backend


def test_a_polygon_becomes_its_bounding_box(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"]})
    write_labels(tmp_path / "labels/train/b.txt", ["1 0.25 0.5 0.5 0.75 0.375 0.1"])
    dataset = load_detection_split(tmp_path, ("cell", "worm")).dataset
    np.testing.assert_allclose(dataset.boxes[1], [[20, 6, 40, 45]], rtol=1e-6)


def test_lists_of_images_and_labels_beside_them(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"images/{name}.jpg")
        write_labels(tmp_path / f"images/{name}.txt", yolo_lines(name))
    (tmp_path / "train.txt").write_text("./images/a.jpg\n\n")
    (tmp_path / "val.txt").write_text("images/b.jpg\n")
    (tmp_path / "a_model.yaml").write_text("depth: 0.33")
    (tmp_path / "cells.yml").write_text("names: [cell, worm]\ntrain: [train.txt]\nval: val.txt")
    for data in (tmp_path, tmp_path / "cells.yml"):
        splits = load_detection_dataset(data)
        assert_content(splits.train)
        assert [path.stem for path in splits.validation.paths] == ["b"]
        assert len(splits.validation.boxes[0]) == 1


def test_labels_are_in_place_of_the_last_folder_named_images(tmp_path):
    for path in ("images/cells/labels/train/a.txt", "labels/cells/images/train/a.txt"):
        write_labels(tmp_path / path, ["0 0.5 0.5 0.2 0.2"])
    labels = LabelFiles([DatasetFiles(tmp_path)])
    image = tmp_path / "images/cells/images/train/a.jpg"
    assert labels.of(image) == tmp_path / "images/cells/labels/train/a.txt"


def test_folders_in_other_case(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    for name in ("images", "labels"):
        (tmp_path / name).rename(tmp_path / name.capitalize())
    splits = load_detection_dataset(tmp_path)
    assert_content(splits.train)
    assert [path.stem for path in splits.validation.paths] == ["b"]


def test_a_label_file_without_an_image_is_a_problem(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"]})
    write_labels(tmp_path / "labels/train/lost.txt", ["0 0.5 0.5 0.2 0.2"])
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.kind, problem.path.name) == ("label without image", "lost.txt")


@pytest.mark.parametrize("shape", [[2, 2], [4, 2], [2, 3], [17, 3]])
def test_key_points_follow_the_box(tmp_path, shape):
    write_yolo_config(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    with (tmp_path / "data.yaml").open("a") as file:
        file.write(f"\nkpt_shape: {shape}\n")
    for path in (tmp_path / "labels").rglob("*.txt"):
        points = " 0.1" * (shape[0] * shape[1])
        path.write_text("\n".join(line + points for line in path.read_text().splitlines()))
    splits = load_detection_dataset(tmp_path)
    assert_content(splits.train)
    assert_content(splits.validation)


@pytest.mark.parametrize("number", ["0.0", "0.00", "0.000000", "0e0"])
def test_whole_numbers_are_class_ids(tmp_path, number):
    write_yolo(tmp_path, {"train": ["a", "b"]})
    write_labels(tmp_path / "labels/train/b.txt", [f"{number} 0.5 0.5 0.2 0.2"])
    dataset = load_detection_split(tmp_path, ("cell", "worm")).dataset
    assert dataset.labels[1].tolist() == [0]


def test_lists_written_on_windows(tmp_path):
    write_yolo_config(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    for split, names in (("train", "ac"), ("val", "b")):
        lines = "\r\n".join(f"images\\{split}\\{name}.jpg" for name in names)
        (tmp_path / f"{split}.txt").write_text(lines, encoding="utf-8-sig")
    (tmp_path / "data.yaml").write_text("names: [cell, worm]\ntrain: train.txt\nval: val.txt")
    splits = load_detection_dataset(tmp_path)
    assert [path.stem for path in splits.train.paths] == ["a", "c"]
    assert_content(splits.train)


@pytest.mark.parametrize("root", ["/content/{}", "/home/somebody/other", "C:\\\\data\\\\x"])
def test_paths_of_another_machine_are_found_by_their_last_parts(tmp_path, root):
    write_yolo_config(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    root = root.format(tmp_path.name)
    lines = [f'{split}: "{root}/images/{split}"' for split in ("train", "val")]
    (tmp_path / "data.yaml").write_text("\n".join(["names: [cell, worm]", *lines]))
    splits = load_detection_dataset(tmp_path)
    assert_content(splits.train)
    assert len(splits.validation) == 1
    assert [problem.kind for problem in splits.problems] == ["moved path"] * 2


def test_a_validation_split_of_the_training_images(tmp_path):
    """As in many small examples: one word of warning, and a validation split is set aside."""
    write_yolo_config(tmp_path, {"train": ["a", "b", "c"]})
    with (tmp_path / "data.yaml").open("a") as file:
        file.write("\nval: images/train\n")
    splits = load_detection_dataset(tmp_path, validation_split=0.4)
    assert (len(splits.train), len(splits.validation)) == (2, 1)
    (problem,) = splits.problems
    assert problem.kind == "same split"
    assert "validation split has the same images as the train split" in problem.reason


def test_a_yaml_file_of_something_else(tmp_path):
    """It has names, as the cards of data sets do, but the dataset is another one."""
    write_voc(tmp_path, {"train": ["a"], "val": ["b"]})
    (tmp_path / "metadata.yaml").write_text("names: [x]\nlicense: MIT")
    annotations = read_dataset(tmp_path)
    assert annotations.format.startswith("Pascal VOC")
    assert [problem.reason for problem in annotations.problems] == ["metadata.yaml is not used"]


def test_a_list_of_images_with_names_that_cannot_be(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"{name}.jpg")
        write_labels(tmp_path / f"{name}.txt", yolo_lines(name))
    lines = ["a.jpg", "b.jpg", "x" * 5000 + ".jpg", "/"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("names: [cell, worm]\ntrain: train.txt")
    splits = load_detection_dataset(tmp_path, on_problem="fix", validation_split=0.5)
    assert len(splits.train) == len(splits.validation) == 1
    assert len(splits.problems) == 2


def test_lines_that_are_not_in_the_format(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    for line in ("0 0.5 0.5 0.2", "0 0.5 0.5 0.2 0.2 0.9", "cell 0.5 0.5 0.2 0.2", "0 a b c d"):
        write_labels(tmp_path / "labels/train/b.txt", ["0 0.5 0.5 0.2 0.2", line])
        (problem,) = yolo.read(DatasetFiles(tmp_path)).problems
        assert problem.path.name == "b.jpg"
        assert "its label file is not in the YOLO format: line 2" in problem.reason
    write_labels(tmp_path / "labels/train/b.txt", ["7 0.5 0.5 0.2 0.2"])
    with pytest.raises(ValueError, match="unknown class 'id 7'"):
        load_detection_dataset(tmp_path)


def test_a_missing_yaml_package_is_in_the_extra_for_detection(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "data.yaml").write_text("names: [cell]\ntrain: images")
    with pytest.raises(ImportError, match=r"cspdarknet\[detect\]"):
        yolo.read(DatasetFiles(tmp_path))


def test_classes_and_folders_that_are_missing(tmp_path):
    write_yolo(tmp_path, {"train": ["c"], "val": ["a"]})
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"must name the classes .* `classes\.txt`"):
        yolo.read(DatasetFiles(tmp_path))
    (tmp_path / "data.yaml").write_text("train: images/train")
    with pytest.raises(ValueError, match="must have `names`"):
        load_detection_dataset(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/other\nnames: [cell, worm]")
    with pytest.raises(ValueError, match="no folder or list of images"):
        load_detection_dataset(tmp_path)


def test_a_yaml_file_runs_nothing(tmp_path):
    (tmp_path / "data.yaml").write_text("names: !!python/object/apply:os.system ['true']")
    with pytest.raises(ValueError, match="ConstructorError"):
        yolo.read(DatasetFiles(tmp_path))


# Aliases and merges that multiply to more text than fits into memory.
ALIASES = "".join(
    f"{name}: &{name} [{', '.join([item] * 9)}]\n"
    for name, item in zip(
        "abcdefghij", ["text"] + [f"*{name}" for name in "abcdefghi"], strict=True
    )
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{item}'] * 9)}]}}\n"
    for item, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("names: cell", "must be a list or a mapping. Received: str"),
        ("names: [yes, no]", "must be text .* Received: bool"),
        ("names: [[cell], worm]", "must be text .* Received: list"),
        ("names: {0: cell, '0': worm}", "an id twice"),
        ("names: {.inf: cell}", "OverflowError"),
        ("names: [cell]\ntrain: {a: b}", "must be text .* Received: dict"),
        ("names: [cell]\npath: [a]", "must be text .* Received: list"),
        ("names: [cell]\ntrain: " + "x" * 5000, "File name too long"),
        ("names:", "must be a list or a mapping. Received: NoneType"),
        ("- names:", "AttributeError"),
        (ALIASES + "names: [*j]", "must be text .* Received: list"),
        (ALIASES + "names: [cell]\ntrain: [*j]", "must be text .* Received: list"),
        (MERGES + "names: [cell]", "ConstructorError"),
    ],
)
def test_a_yaml_file_that_does_not_describe_a_dataset(tmp_path, config, what):
    (tmp_path / "data.yaml").write_text(config)
    with pytest.raises(ValueError, match=f"(?s)does not describe a dataset.*{what}"):
        yolo.read(DatasetFiles(tmp_path))


def test_lists_of_splits_without_a_yaml_file(tmp_path):
    write_yolo(tmp_path, {"all": ["a", "b", "c"]})
    (tmp_path / "train.txt").write_text("images/all/a.jpg\nimages/all/c.jpg\n")
    (tmp_path / "valid.txt").write_text("data/images/all/b.jpg\n")
    splits = load_detection_dataset(tmp_path)
    assert [path.stem for path in splits.train.paths] == ["a", "c"]
    assert [path.stem for path in splits.validation.paths] == ["b"]


@pytest.mark.parametrize("form", ["path", "absolute", "list"])
def test_a_dataset_elsewhere(tmp_path, form):
    """The YAML file is in a folder of its own; the labels are found beside the images."""
    data = write_yolo(tmp_path / "datasets/x", {"train": ["a", "c"], "val": ["b"]})
    lines = ["names: [cell, worm]", f"train: {data}/images/train", f"val: {data}/images/val"]
    if form == "path":
        lines[1:] = ["path: ../datasets/x", "train: images/train", "val: images/val"]
    elif form == "list":
        (data / "train.txt").write_text("./images/train/a.jpg\nimages/train/c.jpg\n")
        lines[1] = f"train: {data}/train.txt"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/data.yaml").write_text("\n".join(lines))
    for source in (tmp_path / "configs", tmp_path / "configs/data.yaml"):
        splits = load_detection_dataset(source)
        assert [path.stem for path in splits.train.paths] == ["a", "c"]
        assert_content(splits.train)
        assert_content(splits.validation)


def test_a_split_without_images_is_a_problem(tmp_path):
    write_yolo_config(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    (tmp_path / "images/val/b.jpg").unlink()
    (tmp_path / "labels/val/b.txt").unlink()
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.kind, problem.stops) == ("empty split", True)
    assert "the validation split has no images in" in problem.reason


@pytest.mark.parametrize(
    ("image", "other", "has_image"),
    [
        ("images/train/a", "images/val/a", True),
        ("images/train/a", "images/val/a", False),
        ("images/day1/a", "images/day2/a", True),
        ("images/day1/a", "images/day2/a", False),
        ("video1/images/a", "video2/images/a", True),
    ],
)
def test_the_label_of_another_image_of_the_same_name(tmp_path, image, other, has_image):
    """The image itself has no label file, and so no boxes."""
    for name in (image, image.replace("/a", "/b"), *([other] if has_image else [])):
        write_image(tmp_path / f"{name}.jpg")
    for name in (other, image.replace("/a", "/b")):
        write_labels(tmp_path / f"{name.replace('images', 'labels')}.txt", yolo_lines("b"))
    (tmp_path / "classes.txt").write_text("cell\nworm\n")
    images = [i for images in read_dataset(tmp_path).splits.values() for i in images]
    found = {image.path.relative_to(tmp_path).as_posix(): len(image.boxes) for image in images}
    assert found[f"{image}.jpg"] == 0
    assert found[f"{image.replace('/a', '/b')}.jpg"] == 1


def test_names_that_differ_in_case_only(tmp_path):
    for name, line in (("aB", "0 0.5 0.5 0.5 0.5"), ("ab", "1 0.5 0.5 0.25 0.25")):
        write_image(tmp_path / f"images/{name}.jpg")
        write_labels(tmp_path / f"labels/{name}.txt", [line])
    (tmp_path / "classes.txt").write_text("cell\nworm\n")
    images = read_dataset(tmp_path).splits["train"]
    assert {image.path.stem: image.names for image in images} == {"aB": ["cell"], "ab": ["worm"]}


def test_two_images_with_one_label_file(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"]})
    write_image(tmp_path / "images/train/a.png")
    annotations = read_dataset(tmp_path)
    assert [image.path.name for image in annotations.splits["train"]] == ["a.jpg", "b.jpg"]
    assert [(p.kind, p.path.name) for p in annotations.problems] == [("ambiguous image", "a.png")]


def test_files_of_classes_that_contradict(tmp_path):
    """LabelImg writes one into each folder, with the classes in the order of their first use."""
    write_yolo(tmp_path, {"train": ["a", "b"]})
    (tmp_path / "labels/train/classes.txt").write_text("cell\nworm\nnew\n")
    (tmp_path / "predefined_classes.txt").write_text("dog\nperson\n")
    assert read_dataset(tmp_path).class_names == ("cell", "worm", "new")
    (tmp_path / "labels/train/classes.txt").write_text("worm\ncell\n")
    with pytest.raises(ValueError, match=r"classes\.txt name other classes"):
        read_dataset(tmp_path)
    (tmp_path / "labels/train/classes.txt").unlink()
    (tmp_path / "classes.txt").write_text("cell\n\nworm\n")
    with pytest.raises(ValueError, match="line 2, must name a class"):
        read_dataset(tmp_path)


def test_splits_that_are_links(tmp_path):
    write_roboflow_yolo(tmp_path, {"train": ["a"], "valid": ["b"]})
    (tmp_path / "store").mkdir()
    for name in ("train", "valid"):
        (tmp_path / name).rename(tmp_path / "store" / name)
        (tmp_path / name).symlink_to(tmp_path / "store" / name)
    splits = load_detection_dataset(tmp_path)
    assert_content(splits.train)
    assert_content(splits.validation)


def test_a_yaml_file_of_something_else_with_names(tmp_path):
    write_yolo_config(tmp_path, {"train": ["a"], "val": ["b"]})
    (tmp_path / "data.yaml").rename(tmp_path / "pets.yaml")
    (tmp_path / "config.yaml").write_text("experiment_names: [a, b]\n")
    assert read_dataset(tmp_path).class_names == ("cell", "worm")


def test_a_dataset_in_a_folder_beside_its_yaml_file(tmp_path):
    """As Ultralytics' files, whose `path` is where its downloads are."""
    write_yolo(tmp_path / "cells", {"train": ["a", "c"], "val": ["b"]})
    lines = ["path: ../datasets/cells", "names: [cell, worm]", "train: images/train"]
    (tmp_path / "cells.yaml").write_text("\n".join([*lines, "val: images/val"]))
    for source in (tmp_path, tmp_path / "cells.yaml"):
        splits = load_detection_dataset(source)
        assert_content(splits.train)
        assert [path.stem for path in splits.validation.paths] == ["b"]


def test_a_number_of_classes_that_is_not_that_of_the_names(tmp_path):
    write_yolo_config(tmp_path, {"train": ["a"], "val": ["b"]})
    with (tmp_path / "data.yaml").open("a") as file:
        file.write("\nnc: 3\n")
    with pytest.raises(ValueError, match="`nc` is 3, but `names` has 2 names"):
        load_detection_dataset(tmp_path)
