"""Detections as tasks of Label Studio."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cspdarknet.inference.result_formats.label_studio import write_label_studio
from detection_results import BEYOND, NAMES, RESULTS

pytestmark = pytest.mark.one_backend


def test_tasks(tmp_path):
    spaced = replace(RESULTS[0], path=Path("photos/x y/ä.png"), key=Path("x y/ä.png"))
    empty = replace(RESULTS[1], frame=None)
    write_label_studio(tmp_path, [spaced, empty, BEYOND], NAMES)
    first, second, third = json.loads((tmp_path / "label_studio.json").read_text())
    assert first["data"]["image"] == "/data/local-files/?d=x%20y/%C3%A4.png"
    (prediction,) = first["predictions"]
    assert prediction["score"] == 0.75
    region = prediction["result"][0]
    assert (region["original_width"], region["original_height"]) == (60, 40)
    assert region["score"] == 0.9
    assert region["value"] == {
        **{"x": pytest.approx(100 * 2 / 60, abs=1e-3), "y": 7.5},
        **{"width": pytest.approx(100 * 10 / 60, abs=1e-3), "height": 28.125, "rotation": 0},
        "rectanglelabels": ["red"],
    }
    assert len({region["id"] for region in prediction["result"]}) == 2
    assert second["predictions"][0]["result"] == []
    (inside,) = third["predictions"][0]["result"]
    assert (inside["value"]["x"], inside["value"]["height"]) == (0, 87.5)


def test_the_configuration_has_the_controls_of_the_tasks(tmp_path):
    names = ('red "&" <b>', "blue")
    write_label_studio(tmp_path, RESULTS[:1], names)
    (task,) = json.loads((tmp_path / "label_studio.json").read_text())
    view = ElementTree.parse(tmp_path / "label_studio.xml").getroot()
    image, labels = view
    for region in task["predictions"][0]["result"]:
        assert (labels.get("name"), labels.get("toName")) == (
            region["from_name"],
            region["to_name"],
        )
        assert labels.tag.lower() == region["type"]
        assert image.get("name") == region["to_name"]
    assert image.get("value") == "$image"
    assert tuple(label.get("value") for label in labels) == names
