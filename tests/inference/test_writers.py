"""Detections as COCO's JSON and as CSV."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cspdarknet.detections import Detections
from cspdarknet.inference.writers import (
    COCO_RESULTS_STARTS,
    COCO_STARTS,
    CSV_STARTS,
    FileDetections,
    write_coco,
    write_coco_results,
    write_csv,
)
from cspdarknet.yolox.coco_names import COCO_CATEGORY_IDS, COCO_NAMES

pytestmark = pytest.mark.one_backend

NAMES = ("red", "blue")
RESULTS = [
    FileDetections(
        Path("images/a.png"),
        Detections([[2, 3, 12, 14.25], [20, 5, 40, 25]], [0.9, 0.6], [0, 1], (40, 60), NAMES),
    ),
    FileDetections(Path("clip.mp4"), Detections(np.zeros((0, 4)), [], [], (30, 50), NAMES), 0),
    FileDetections(
        Path("clip.mp4"), Detections([[1, 1, 2, 2]], [0.5], [1], (30, 50), NAMES), frame=1
    ),
]


def test_coco_tools_read_the_json(tmp_path):
    coco_tools = pytest.importorskip("pycocotools.coco")
    write_coco(tmp_path / "a.json", RESULTS, NAMES)
    coco = coco_tools.COCO(str(tmp_path / "a.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["red", "blue"]
    images = coco.loadImgs(coco.getImgIds())
    assert [i["file_name"] for i in images] == ["images/a.png", "clip.mp4", "clip.mp4"]
    assert [i.get("frame") for i in images] == [None, 0, 1]
    assert (images[0]["height"], images[0]["width"]) == (40, 60)
    (red,) = coco.loadAnns(coco.getAnnIds(imgIds=[1], catIds=[1]))
    assert red["bbox"] == [2, 3, 10, 11.25]
    assert red["area"] == 112.5
    assert red["score"] == 0.9
    assert len(coco.anns) == 3


def test_files_begin_as_earlier_results_are_recognized(tmp_path):
    for results in (RESULTS, []):
        write_coco(tmp_path / "a.json", results, NAMES)
        assert (tmp_path / "a.json").read_text().startswith(COCO_STARTS)
        write_coco_results(tmp_path / "b.json", results, NAMES)
        assert (tmp_path / "b.json").read_text().startswith(COCO_RESULTS_STARTS)
        write_csv(tmp_path / "c.csv", results)
        assert (tmp_path / "c.csv").read_text().startswith(CSV_STARTS)


def results_of(path):
    return [(row["image_id"], row["category_id"]) for row in json.loads(path.read_text())]


def test_coco_tools_load_the_results(tmp_path):
    coco_tools = pytest.importorskip("pycocotools.coco")
    content = {
        "images": [{"id": 70, "file_name": "photos/a.png", "width": 60, "height": 40}],
        "categories": [{"id": 5, "name": "blue"}, {"id": 9, "name": "red"}],
        "annotations": [],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    out = tmp_path / "results.json"
    write_coco_results(out, RESULTS[:1], NAMES, tmp_path / "truth.json")
    assert results_of(out) == [(70, 9), (70, 5)]
    loaded = coco_tools.COCO(str(tmp_path / "truth.json")).loadRes(str(out))
    assert loaded.loadAnns(loaded.getAnnIds(catIds=[9]))[0]["bbox"] == [2, 3, 10, 11.25]
    with pytest.raises(ValueError, match=r"clip\.mp4 must be in .*truth\.json"):
        write_coco_results(out, RESULTS, NAMES, tmp_path / "truth.json")
    (tmp_path / "truth.json").write_text("[1]")
    with pytest.raises(ValueError, match="must be a COCO file"):
        write_coco_results(out, RESULTS[:1], NAMES, tmp_path / "truth.json")


def test_ids_of_results_without_annotations(tmp_path):
    """Images of COCO have their ids in their names, and its classes have ids of their own."""
    out = tmp_path / "results.json"
    write_coco_results(out, RESULTS, NAMES)
    assert results_of(out) == [(1, 1), (1, 2), (3, 2)]
    last = Detections([[1, 1, 2, 2]], [0.5], [79], (30, 50), COCO_NAMES)
    write_coco_results(out, [FileDetections(Path("000000000139.jpg"), last)], COCO_NAMES)
    assert results_of(out) == [(139, 90)]
    assert len(COCO_CATEGORY_IDS) == len(COCO_NAMES)


def test_csv(tmp_path):
    unnamed = Detections([[1, 1, 2, 2]], [0.5], [7], (30, 50))
    write_csv(tmp_path / "a.csv", [*RESULTS, FileDetections(Path("b.png"), unnamed)])
    rows = list(csv.reader((tmp_path / "a.csv").open()))
    assert rows == [
        ["file", "class", "confidence", "x1", "y1", "x2", "y2", "frame"],
        ["images/a.png", "red", "0.9", "2.0", "3.0", "12.0", "14.25", ""],
        ["images/a.png", "blue", "0.6", "20.0", "5.0", "40.0", "25.0", ""],
        ["clip.mp4", "blue", "0.5", "1.0", "1.0", "2.0", "2.0", "1"],
        ["b.png", "7", "0.5", "1.0", "1.0", "2.0", "2.0", ""],
    ]
