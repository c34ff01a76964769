"""The reader of COCO."""

import numpy as np
import pytest

from annotation_files import CONTENT, assert_content, coco, write_image, write_json
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split

pytestmark = pytest.mark.one_backend


def test_a_single_json_file(tmp_path):
    for name in CONTENT:
        write_image(tmp_path / f"images/{name}.jpg")
    write_json(tmp_path / "boxes.json", coco(CONTENT))
    for data in (tmp_path, tmp_path / "boxes.json"):
        split = load_detection_split(data, ("cell", "worm"))
        assert split.name == "all"
        assert_content(split.dataset)
    write_json(tmp_path / "boxes.json", {"name": "not a dataset"})
    with pytest.raises(ValueError, match="not in the COCO format: KeyError"):
        load_detection_dataset(tmp_path)


def test_crowds_are_ignored(tmp_path):
    content = coco(["a"])
    content["annotations"][1]["iscrowd"] = 1
    write_image(tmp_path / "a.jpg")
    write_json(tmp_path / "a.json", content)
    dataset = load_detection_split(tmp_path, ("cell", "worm")).dataset
    assert dataset.ignored[0].tolist() == [False, True]
    np.testing.assert_array_equal(dataset.counts, [1, 0])


def test_annotations_that_lead_nowhere_are_problems(tmp_path):
    content = coco(["a", "b"])
    content["annotations"] += [
        {"id": 8, "image_id": 1000, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"id": 9, "image_id": 7, "category_id": 55, "bbox": [1, 1, 5, 5]},
        {"id": 10, "image_id": 7, "category_id": 3},
        {"id": 11, "image_id": 7, "category_id": 3, "bbox": ["x", 1, 5]},
        {"id": 12, "image_id": 7, "category_id": 3, "bbox": "1234"},
        {"id": 13, "image_id": 7, "category_id": 3, "bbox": [False, True, 5, 5]},
        {"id": 14, "image_id": 7, "category_id": 3, "bbox": [1, 1, 10**400, 5]},
    ]
    for name in "ab":
        write_image(tmp_path / f"{name}.jpg")
    write_json(tmp_path / "a.json", content)
    splits = load_detection_dataset(tmp_path, on_problem="fix", validation_split=0.5)
    texts = [problem.reason for problem in splits.problems]
    assert len(texts) == 7
    assert sum("not finite numbers" in text for text in texts) == 5
    for what in ("image id 1000, which is not listed", "unknown class 'id 55'"):
        assert any(what in text for text in texts)


@pytest.mark.parametrize("kind", ["images", "categories"])
def test_an_id_that_stands_for_two_things(tmp_path, kind):
    content = coco(["a", "b"])
    content[kind].append(content[kind][0] | {"file_name": "c.jpg", "name": "other"})
    write_json(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match=f"1 ids of {kind} are given twice, such as"):
        load_detection_dataset(tmp_path, on_problem="fix")


def test_file_names_that_cannot_be(tmp_path):
    content = coco(["a", "b", "c"])
    for name in "ab":
        write_image(tmp_path / f"{name}.jpg")
    for name in ("x" * 5000 + ".jpg", "null\0.jpg"):
        content["images"][2]["file_name"] = name
        write_json(tmp_path / "a.json", content)
        (problem,) = load_detection_dataset(
            tmp_path, on_problem="fix", validation_split=0.5
        ).problems
        assert "not an image" in problem.reason
    content["images"][2]["file_name"] = ["c.jpg"]
    write_json(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match="names must be text"):
        load_detection_dataset(tmp_path)
