"""The reader of COCO."""

import numpy as np
import pytest

from annotation_files import CONTENT, assert_content, coco, write_image, write_json
from cspdarknet.data import read_dataset
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
    with pytest.raises(ValueError, match=r"is not a dataset for.* 3 \.jpg, 1 \.json files"):
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
        assert problem.kind == "missing image"
    content["images"][2]["file_name"] = ["c.jpg"]
    write_json(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match="names must be text"):
        load_detection_dataset(tmp_path)


# Several files, folders and forms.


def write_images(folder, names="abc"):
    for name in names:
        write_image(folder / f"{name}.jpg")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("batch1.json", "batch2.json"),
        ("annotations/instances_train_a.json", "annotations/instances_train_b.json"),
        ("train/_annotations.coco.json", "train/more.json"),
    ],
)
def test_several_files_of_a_split_are_merged(tmp_path, first, second):
    write_images(tmp_path / ("train" if first.startswith("train") else "images"))
    write_json(tmp_path / first, coco("ac"))
    content = coco("b")
    # The other file numbers the classes in another way, and has one more.
    content["categories"] = [{"id": 3, "name": "cell"}, {"id": 4, "name": "egg"}]
    write_json(tmp_path / second, content)
    splits = load_detection_dataset(tmp_path, validation_split=0.4)
    assert splits.class_names == ("cell", "worm", "egg")
    assert len(splits.train) + len(splits.validation) == 3
    assert_content(splits.train)
    assert_content(splits.validation)
    assert splits.problems == ()


def test_trainval_is_for_training(tmp_path):
    write_images(tmp_path / "images")
    write_json(tmp_path / "instances_trainval.json", coco("ac"))
    write_json(tmp_path / "instances_test.json", coco("b"))
    annotations = read_dataset(tmp_path)
    assert {s: [i.path.stem for i in images] for s, images in annotations.splits.items()} == {
        "train": ["a", "c"],
        "test": ["b"],
    }
    # It is left out, and named, where there are files of both splits.
    write_json(tmp_path / "instances_train.json", coco("a"))
    write_json(tmp_path / "instances_val.json", coco("c"))
    annotations = read_dataset(tmp_path)
    assert {s: len(images) for s, images in annotations.splits.items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }
    (problem,) = annotations.problems
    assert (problem.path.name, problem.stops) == ("instances_trainval.json", False)


def test_key_points_of_the_same_images_are_left_out_and_named(tmp_path):
    write_images(tmp_path / "train2017")
    write_json(tmp_path / "annotations/instances_train2017.json", coco("abc"))
    content = coco("ab")
    content["annotations"].append({"id": 9, "image_id": 7, "category_id": 3, "bbox": [1, 1, 9, 9]})
    write_json(tmp_path / "annotations/person_keypoints_train2017.json", content)
    annotations = read_dataset(tmp_path)
    assert sum(len(image.boxes) for image in annotations.splits["train"]) == 3
    (problem,) = annotations.problems
    assert "same images as annotations/instances_train2017.json" in problem.reason


def test_files_that_share_some_images_are_refused(tmp_path):
    write_images(tmp_path)
    write_json(tmp_path / "one.json", coco("ab"))
    write_json(tmp_path / "two.json", coco("bc"))
    with pytest.raises(ValueError, match=r"two\.json .* 1 image of 2 are also in one\.json"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("custom_train.json", "train2017"),
        ("train.json", "train/images"),
        ("instances_train.json", "images/train2017"),
        ("annotations/instances_train.json", "data/train_images"),
        ("annotations/train.json", "JPEGImages/day1"),
    ],
)
def test_images_are_found_wherever_they_are(tmp_path, file, folder):
    write_images(tmp_path / folder)
    write_json(tmp_path / file, coco("abc"))
    for data in (tmp_path, tmp_path / file):
        dataset = load_detection_split(data, ("cell", "worm")).dataset
        assert len(dataset) == 3
        assert_content(dataset)


def test_boxes_of_polygons(tmp_path):
    write_images(tmp_path)
    content = coco("abc")
    for annotation in content["annotations"]:
        x, y, w, h = annotation.pop("bbox")
        annotation["segmentation"] = [
            [x, y, x + w, y, x, y + h / 2],
            [x + w, y + h, x, y + h, x, y],
        ]
    content["annotations"][0]["bbox"] = []
    write_json(tmp_path / "a.json", content)
    assert_content(load_detection_split(tmp_path, ("cell", "worm")).dataset)


def test_boxes_of_run_length_encoded_masks(tmp_path):
    write_images(tmp_path)
    content = coco("abc")
    for annotation in content["annotations"]:
        x, y, w, h = annotation.pop("bbox")
        runs = [60 * x + y, h] + [60 - h, h] * (w - 1)
        annotation["segmentation"] = {"size": [60, 80], "counts": [*runs, 4800 - sum(runs)]}
    write_json(tmp_path / "a.json", content)
    assert_content(load_detection_split(tmp_path, ("cell", "worm")).dataset)


def test_fractions_in_place_of_pixels(tmp_path):
    write_images(tmp_path)
    content = coco("abc")
    for annotation in content["annotations"]:
        annotation["bbox"] = [value / 80 for value in annotation["bbox"]]
    write_json(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match="are its coordinates fractions of the image"):
        load_detection_dataset(tmp_path)


def test_a_damaged_file_of_a_split_is_a_problem(tmp_path):
    write_images(tmp_path)
    write_json(tmp_path / "train.json", coco("ac"))
    (tmp_path / "val.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"val\.json: it is not a JSON file"):
        load_detection_dataset(tmp_path)


def test_folders_of_one_split_with_equal_file_names(tmp_path):
    for folder in ("train_day", "train_night"):
        write_images(tmp_path / folder)
        write_json(tmp_path / folder / "_annotations.coco.json", coco("abc"))
    annotations = read_dataset(tmp_path)
    assert len({image.path for image in annotations.splits["train"]}) == 6
    assert annotations.problems == []


def test_boxes_to_ignore(tmp_path):
    """VisDrone, CrowdHuman and others mark them with `ignore`."""
    content = coco(["a"])
    content["annotations"][0]["ignore"] = 1
    write_image(tmp_path / "a.jpg")
    write_json(tmp_path / "a.json", content)
    (image,) = read_dataset(tmp_path).splits["train"]
    assert image.ignored == [True, False]


@pytest.mark.parametrize("kind", ["images", "categories"])
def test_ids_may_be_text_in_one_place(tmp_path, kind):
    content = coco(["a"])
    for row in content[kind]:
        row["id"] = str(row["id"])
    write_image(tmp_path / "a.jpg")
    write_json(tmp_path / "a.json", content)
    annotations = read_dataset(tmp_path)
    assert (annotations.class_names, annotations.problems) == (("cell", "worm"), [])
    assert annotations.splits["train"][0].names == ["cell", "worm"]


def test_segments_have_no_class(tmp_path):
    content = coco(["a"])
    content["annotations"] = [{"image_id": 7, "segments_info": []}]
    write_json(tmp_path / "panoptic.json", content)
    with pytest.raises(ValueError, match=r"COCO format: an entry has no 'category_id'\."):
        read_dataset(tmp_path)
