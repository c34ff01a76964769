"""The reader of the YOLO format."""

import sys
from pathlib import Path

import numpy as np
import pytest

from annotation_files import assert_content, write_image, write_labels, write_yolo, yolo_lines
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split
from cspdarknet.data.formats.yolo import label_file, read_yolo

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


def test_labels_are_in_place_of_the_last_folder_named_images():
    assert label_file(Path("images/cells/images/train/a.jpg")) == Path(
        "images/cells/labels/train/a.txt"
    )


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
        (problem,) = read_yolo(tmp_path).problems
        assert problem.path.name == "b.jpg"
        assert "its label file is not in the YOLO format: line 2" in problem.reason
    write_labels(tmp_path / "labels/train/b.txt", ["7 0.5 0.5 0.2 0.2"])
    with pytest.raises(ValueError, match="unknown class 'id 7'"):
        load_detection_dataset(tmp_path)


def test_a_missing_yaml_package_is_in_the_extra_for_detection(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "data.yaml").write_text("names: [cell]\ntrain: images")
    with pytest.raises(ImportError, match=r"cspdarknet\[detect\]"):
        read_yolo(tmp_path)


def test_classes_and_folders_that_are_missing(tmp_path):
    write_yolo(tmp_path, {"train": ["c"], "val": ["a"]})
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"must name the classes .* `classes\.txt`"):
        read_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/train")
    with pytest.raises(ValueError, match="must have `names`"):
        load_detection_dataset(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/other\nnames: [cell, worm]")
    with pytest.raises(ValueError, match="no folder or list of images"):
        load_detection_dataset(tmp_path)


def test_a_yaml_file_runs_nothing(tmp_path):
    (tmp_path / "data.yaml").write_text("names: !!python/object/apply:os.system ['true']")
    with pytest.raises(ValueError, match="ConstructorError"):
        read_yolo(tmp_path)


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
        read_yolo(tmp_path)
