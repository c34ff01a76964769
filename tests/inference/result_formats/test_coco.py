"""Detections as COCO's JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cspdarknet.detections import Detections
from cspdarknet.inference.result_formats import FileDetections
from cspdarknet.inference.result_formats.coco import (
    COCO_RESULTS_STARTS,
    COCO_STARTS,
    write_coco,
    write_coco_results,
)
from cspdarknet.yolox.coco_names import COCO_CATEGORY_IDS, COCO_NAMES
from detection_results import NAMES, RESULTS

pytestmark = pytest.mark.one_backend


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


def test_document_and_list_share_their_ids(tmp_path):
    """So that pycocotools loads the one for the other."""
    coco_tools = pytest.importorskip("pycocotools.coco")
    results = [
        replace(RESULTS[0], path=Path("images/70.png")),
        replace(RESULTS[2], path=Path("8.png")),
    ]
    write_coco(tmp_path / "a.json", results, NAMES)
    write_coco_results(tmp_path / "b.json", results, NAMES)
    coco = coco_tools.COCO(str(tmp_path / "a.json"))
    loaded = coco.loadRes(str(tmp_path / "b.json"))
    assert coco.getImgIds() == [70, 8]
    for image_id in (70, 8):
        boxes = [a["bbox"] for a in coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))]
        assert [a["bbox"] for a in loaded.loadAnns(loaded.getAnnIds(imgIds=[image_id]))] == boxes
