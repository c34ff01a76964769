"""Detections in the format of Pascal VOC."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from cspdarknet.data import load_detection_dataset
from cspdarknet.inference.result_formats import FileDetections
from cspdarknet.inference.result_formats.voc import write_voc
from detection_results import BEYOND, NAMES, RESULTS
from fake_detector import save

pytestmark = pytest.mark.one_backend


def test_objects(tmp_path):
    write_voc(tmp_path, [*RESULTS, BEYOND], NAMES)
    root = ElementTree.parse(tmp_path / "Annotations/a.xml").getroot()
    assert root.findtext("filename") == "a.png"
    assert Path(root.findtext("path")).is_absolute()
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == [
        "60",
        "40",
        "3",
    ]
    red, blue = root.findall("object")
    assert (red.findtext("name"), red.findtext("confidence")) == ("red", "0.9")
    sides = [red.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    assert sides == ["2", "3", "12", "14.25"]
    assert blue.findtext("name") == "blue"
    (beyond,) = ElementTree.parse(tmp_path / "Annotations/x/b.xml").getroot().findall("object")
    assert beyond.findtext("bndbox/xmin") == "0"
    frame = ElementTree.parse(tmp_path / "Annotations/clip_000001.xml").getroot()
    assert frame.findtext("frame") == "1"


def test_the_files_are_read_as_a_dataset(tmp_path):
    """With the images beside them, as annotations to start from."""
    (tmp_path / "JPEGImages").mkdir()
    results = []
    for i in range(4):
        path = save(tmp_path / f"JPEGImages/{i}.png", (40, 60), [("red", 2, 3, 12, 14)])
        results.append(FileDetections(path, RESULTS[0].detections))
    write_voc(tmp_path, results, NAMES)
    splits = load_detection_dataset(tmp_path, validation_split=0.25, class_names=NAMES)
    assert splits.train.boxes[0].tolist() == [[2, 3, 12, 14.25], [20, 5, 40, 25]]
    assert splits.train.labels[0].tolist() == [0, 1]


def test_names_that_xml_cannot_hold(tmp_path):
    result = FileDetections(Path("a\x01\udcff<&.png"), RESULTS[0].detections, key=Path("a.png"))
    write_voc(tmp_path, [result], ("red & <b>", "blue"))
    root = ElementTree.parse(tmp_path / "Annotations/a.xml").getroot()
    assert root.findtext("filename") == "a??<&.png"
    assert root.findtext("object/name") == "red & <b>"
