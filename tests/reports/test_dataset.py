"""The report of a dataset."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from annotation_files import write_image, write_labels, write_yolo
from cspdarknet._files import OutputFolder
from cspdarknet.data.doctor import inspect_dataset
from cspdarknet.reports import dataset as dataset_report
from cspdarknet.reports.dataset import write_dataset_report
from cspdarknet.visualize import class_color
from image_datasets import COLORS, write_class_folders, write_multi_label_dataset

pytestmark = pytest.mark.one_backend

PICTURES = {"class_boxes.png", "class_images.png", "box_sizes.png", "boxes.png"}
PICTURES |= {"cooccurrence.png", "image_sizes.png", "samples.png"}


def write(source, out, image_size=64):
    dataset, size_of = inspect_dataset(source)
    write_dataset_report(OutputFolder(out), dataset, image_size, size_of)
    return {path.name for path in out.iterdir()}


@pytest.fixture
def drawn(monkeypatch):
    """The arguments of the plots, by the name of their function."""
    calls = {}
    for name in ("draw_box_sizes", "draw_box_shapes", "draw_cooccurrence", "draw_class_counts"):
        original = getattr(dataset_report, name)

        def draw(*arguments, name=name, original=original):
            calls.setdefault(name, []).append(arguments)
            original(*arguments)

        monkeypatch.setattr(dataset_report, name, draw)
    return calls


def test_a_dataset_for_detection(tmp_path, drawn):
    source = write_yolo(tmp_path / "cells", {"train": ["a", "b", "c"], "val": ["b2"][:0]})
    names = write(source, tmp_path / "out", image_size=40)
    assert names == {"report.html", "statistics.json", *PICTURES}
    page = (tmp_path / "out/report.html").read_text()
    assert "Detection, 2 classes." in page
    assert "<tr><td>train<td>3<td>1<td>3<td>0<td>0" in page
    content = json.loads((tmp_path / "out/statistics.json").read_text())
    assert content["splits"]["train"]["class_boxes"] == [2, 1]
    # Images of 80 x 60 pixels at 40: half the size.
    ((resized, image_size, _),) = drawn["draw_box_sizes"]
    np.testing.assert_allclose(resized, [[16, 15], [10, 15], [10, 15]], atol=1e-3)
    assert image_size == 40
    ((sides, centers, per_image, _),) = drawn["draw_box_shapes"]
    np.testing.assert_allclose(sides[0], [32, 30], atol=1e-3)
    np.testing.assert_allclose(centers[0], [0.3, 0.35], atol=1e-5)
    assert per_image.tolist() == [2, 1, 0]
    ((together, classes, _),) = drawn["draw_cooccurrence"]
    assert (together.tolist(), classes) == ([[2, 1], [1, 1]], ["cell", "worm"])


def test_samples_show_each_class_with_its_boxes(tmp_path):
    source = write_yolo(tmp_path / "cells", {"train": ["a", "b"]})
    write(source, tmp_path / "out")
    with Image.open(tmp_path / "out/samples.png") as image:
        sheet = np.asarray(image)
    halves = np.array_split(sheet, 2)
    for class_id in (0, 1):  # a row for each class; both are in the first image
        assert (halves[0] == class_color(class_id)).all(axis=2).any()
    assert (halves[1] == class_color(1)).all(axis=2).any()


def test_a_dataset_for_classification(tmp_path, drawn):
    write_class_folders(tmp_path / "colors/train", per_class=3)
    write_class_folders(tmp_path / "colors/test", per_class=1)
    (tmp_path / "colors/train/<b>").mkdir()
    write_image(tmp_path / "colors/train/<b>/a.png")
    names = write(tmp_path / "colors", tmp_path / "out")
    expected = {"class_images.png", "image_sizes.png", "samples.png"}
    assert names == {"report.html", "statistics.json", *expected}
    ((counts, classes, label, _),) = drawn["draw_class_counts"]
    assert (tuple(classes), label) == (("<b>", "blue", "green", "red"), "images")
    assert {split: values.tolist() for split, values in counts.items()} == {
        "train": [1, 3, 3, 3],
        "test": [0, 1, 1, 1],
    }
    assert "<tr><td>test<td>3" in (tmp_path / "out/report.html").read_text()


def test_a_multi_label_dataset(tmp_path, drawn):
    data = write_multi_label_dataset(tmp_path / "colors", 6)
    dataset, size_of = inspect_dataset(data, labels="multi")
    write_dataset_report(OutputFolder(tmp_path / "out"), dataset, 32, size_of)
    ((counts, classes, _, _),) = drawn["draw_class_counts"]
    assert tuple(classes) == tuple(COLORS)
    assert counts["train"].tolist() == dataset.splits["train"].counts.tolist()
    assert (tmp_path / "out/samples.png").exists()


def test_problems_are_listed_and_escaped(tmp_path):
    source = write_yolo(tmp_path / "cells", {"train": ["a", "b"]})
    write_labels(source / "labels/train/<i>.txt", ["0 0.5 0.5 0 0.2"])
    write_image(source / "images/train/<i>.jpg")
    write(source, tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    assert "<td>boxes without an area, or not of finite numbers<td>left out<td>" in page
    assert "&lt;i&gt;.jpg, box 1" in page
    assert "<i>" not in page


@pytest.mark.filterwarnings("error")
def test_many_classes_with_odd_names(tmp_path):
    names = ["$x$", "猫", "a" * 200, *(f"class {i}" for i in range(60))]
    for name in names:
        write_image(tmp_path / "many" / name / "a.png", size=(8, 8))
    write(tmp_path / "many", tmp_path / "out")
    with Image.open(tmp_path / "out/class_images.png") as image:
        assert image.height < 4000


def test_boxes_of_a_single_class_and_no_boxes(tmp_path):
    source = write_yolo(tmp_path / "one", {"train": ["b", "c"]})
    (source / "classes.txt").write_text("cell\n")
    assert "cooccurrence.png" not in write(source, tmp_path / "out")
    source = write_yolo(tmp_path / "none", {"train": ["c"]})
    write_labels(source / "labels/train/c.txt", [])
    names = write(source, tmp_path / "out2")
    assert names.isdisjoint({"box_sizes.png", "boxes.png", "samples.png"})


def test_a_dataset_without_usable_images(tmp_path):
    source = write_yolo(tmp_path / "cells", {"train": ["a"]})
    (source / "images/train/a.jpg").write_text("not an image")
    with pytest.raises(ValueError, match="no usable images"):
        write(source, tmp_path / "out")
