"""Detections that any tool wrote as JSON, for the images of a dataset."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import DetectionDataset
from cspdarknet.evaluate import evaluate_predictions, read_predictions
from cspdarknet.evaluate.image_names import ImageNames
from cspdarknet.inference.result_formats import FileDetections
from cspdarknet.inference.result_formats.coco import write_coco, write_coco_results
from cspdarknet.yolox.coco_names import COCO_NAMES

pytestmark = pytest.mark.one_backend

NAMES = {1: "red", 2: "blue"}


@pytest.fixture
def folder(tmp_path):
    for name in ("7.png", "008.png", "x.jpg"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def dataset(folder):
    boxes = np.array([[2, 3, 12, 14], [20, 5, 40, 25]], "float32")
    rows = [(boxes, [0, 1]), (boxes[:1], [1]), (boxes[:0], [])]
    return DetectionDataset(
        ("red", "blue"),
        tuple(folder / name for name in ("7.png", "008.png", "x.jpg")),
        tuple(row for row, _ in rows),
        tuple(np.array(labels, "int32") for _, labels in rows),
        tuple(np.zeros(len(labels), bool) for _, labels in rows),
    )


def row(image_id=7, category_id=1, bbox=(2, 3, 10, 11), score=0.9):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), "score": score}


def write(folder, content):
    (folder / "results.json").write_text(json.dumps(content))
    return folder / "results.json"


def read(folder, dataset, rows, **options):
    options = {"category_names": NAMES, **options}
    return read_predictions(write(folder, rows), dataset, **options)


@pytest.mark.parametrize("image_id", [8, "8", 8.0, "008", "008.png", "elsewhere/008.png"])
def test_images_by_name_or_number(folder, dataset, image_id):
    first, second, third = read(folder, dataset, [row(image_id), row("x", 2)]).detections
    assert (len(first), len(second), len(third)) == (0, 1, 1)
    assert second.xyxy.tolist() == [[2, 3, 12, 14]]
    assert (second.image_size, second.class_names) == ((40, 60), ("red", "blue"))
    assert third.class_id.tolist() == [1]


def test_ids_of_a_coco_file(folder, dataset):
    ids = {
        "images": [{"id": 501, "file_name": "images/7.png"}, {"id": 7, "file_name": "x.jpg"}],
        "categories": [{"id": 3, "name": "blue"}, {"id": 90, "name": "red"}],
    }
    (folder / "truth.json").write_text(json.dumps(ids))
    rows = [row(501, 90), row(7, 3), row(7, 90, score=0.95)]
    found = read_predictions(write(folder, rows), dataset, coco_annotations=folder / "truth.json")
    assert [d.class_id.tolist() for d in found.detections] == [[0], [], [0, 1]]
    with pytest.raises(ValueError, match=r"must be those of .*truth\.json\. Received: 8\."):
        read_predictions(
            write(folder, [row(8, 3)]), dataset, coco_annotations=folder / "truth.json"
        )
    with pytest.raises(ValueError, match=r"category_id 1\. Known are 3=blue, 90=red. Name them"):
        read_predictions(write(folder, [row(501)]), dataset, coco_annotations=folder / "truth.json")


def test_a_document_has_its_own_ids(folder, dataset):
    document = {
        "images": [{"id": 0, "file_name": "x.jpg"}],
        "categories": [{"id": 0, "name": "blue"}],
        "annotations": [row(0, 0)],
    }
    found = read_predictions(write(folder, document), dataset)
    assert [len(d) for d in found.detections] == [0, 0, 1]


def test_the_ids_of_coco_are_known(folder, dataset):
    coco = DetectionDataset(
        COCO_NAMES, *(getattr(dataset, n) for n in ("paths", "boxes", "labels", "ignored"))
    )
    found = read_predictions(write(folder, [row(7, 90)]), coco)
    assert found.detections[0].class_id.tolist() == [79]


def test_what_is_left_out_is_said(folder, dataset):
    rows = [row(), row(99), row(99), row(7, 3), row("y", 1)]
    found = read(folder, dataset, rows, category_names={**NAMES, 3: "dog"})
    assert sum(map(len, found.detections)) == 1
    assert found.notes == [
        "left out: 1 detection of classes that the dataset lacks: dog",
        "left out: 3 detections in images that are not evaluated, by image id: 99, y",
    ]


def test_corners_in_place_of_sizes_are_warned_of(folder, dataset):
    corners = read(folder, dataset, [row(bbox=(20, 5, 50, 38)), row(8, bbox=(30, 9, 40, 39))])
    assert "2 of 2 boxes end outside of their image" in corners.notes[0]
    assert read(folder, dataset, [row()] * 3).notes == []


def test_unreadable_images_are_left_out(folder, dataset):
    (folder / "7.png").write_bytes(b"not an image")
    found = read(folder, dataset, [row(), row(8)])
    assert [len(d) for d in found.detections] == [1, 0]
    assert found.dataset.paths == dataset.paths[1:]
    assert "not an image" in found.errors[folder / "7.png"]


def test_no_detections_are_an_evaluation_too(folder, dataset):
    pytest.importorskip("pycocotools")
    assert evaluate_predictions(write(folder, []), dataset).average_precision.map == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "must be a list of detections .* Received: a dict"),
        ([3], "entry 0, a int"),
        ([row(), {"image_id": 7}], "entry 1, without category_id, bbox, score"),
        ([row(bbox=(1, 2, 3))], r"entry 0, bbox=\[1, 2, 3\]"),
        ([row(bbox=(1, 2, -3, 4))], "of a negative size"),
        ([row(bbox=(1, 2, float("nan"), 4))], "bbox="),
        ([row(bbox=("1", 2, 3, 4))], "bbox="),
        ([row(score=90)], "score is in 0..1. Received: entry 0, score=90"),
        ([row(score=True)], "score=True"),
        ([row(image_id=[7])], r"image_id=\[7\]"),
        ([row(category_id=None)], "category_id=None"),
        ([row(category_id=5)], "must have names. Received: category_id 5. Known are 1=red, 2=blue"),
        ([row(99), row("y")], "must be names of images of the dataset, such as 7.png"),
        ([row(7), row("7.png")], r"must have one id in .* Received: 7 and '7.png' for .*7\.png"),
    ],
)
def test_other_files_are_refused(folder, dataset, content, message):
    with pytest.raises(ValueError, match=message):
        read(folder, dataset, content)


def test_a_file_that_is_missing_or_damaged(folder, dataset):
    with pytest.raises(ValueError, match=r"no\.json must be a JSON file. Received: No such file"):
        read_predictions(folder / "no.json", dataset)
    (folder / "bad.json").write_text("[{")
    with pytest.raises(ValueError, match=r"bad\.json must be a JSON file"):
        read_predictions(folder / "bad.json", dataset)
    (folder / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match=r"bad\.json must be a COCO file"):
        read(folder, dataset, [], coco_annotations=folder / "bad.json")


def test_classes_of_another_dataset_are_refused(folder, dataset):
    with pytest.raises(ValueError, match=r"must be among those of the dataset: red, blue.*dog"):
        read(folder, dataset, [row()], category_names={1: "dog"})


def test_images_of_one_name(tmp_path):
    names = ImageNames([Path("a/1.jpg"), Path("b/1.jpg"), Path("b/2.jpg")])
    assert (names.index("b/1.jpg"), names.index("a\\1"), names.index(2)) == (1, 0, 2)
    assert names.index("c/1.jpg") is None
    with pytest.raises(ValueError, match=r"must name one image\. Received: 1, which a/1\.jpg and"):
        names.index(1)


@pytest.mark.parametrize("form", [write_coco, write_coco_results])
def test_our_own_files_have_the_metrics_of_their_detections(
    folder, dataset, noisy, form, monkeypatch
):
    """Written and read, detections are evaluated as they were in memory."""
    pytest.importorskip("pycocotools")
    from cspdarknet.evaluate import mean_average_precision, prediction_files

    truth, detections = noisy(0, images=6)
    results = [FileDetections(Path(str(i)), d) for i, d in enumerate(detections)]
    form(folder / "a.json", results, truth.class_names)
    monkeypatch.setattr(prediction_files, "image_size", lambda path: (640, 480))
    names = {1: "a", 2: "b"}
    evaluation = evaluate_predictions(folder / "a.json", truth, category_names=names)
    expected = mean_average_precision(truth, detections)
    assert evaluation.average_precision.map == pytest.approx(expected.map, abs=1e-6)
    assert 0.05 < expected.map < 0.95
