"""`check_dataset`: how a dataset was understood, its problems, duplicates and classes."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from annotation_files import WRITERS, write_labels, write_voc, write_yolo
from cspdarknet.data import check_dataset, load_detection_dataset
from cspdarknet.data.doctor import inspect_dataset
from cspdarknet.data.problems import by_kind
from doctor_images import picture, save_pictures
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


def kinds(check):
    return {kind: len(problems) for kind, problems in by_kind(check.problems).items()}


@pytest.fixture
def pets(tmp_path):
    """A dataset for classification with two splits, all images different."""
    for number, name in enumerate(("train/cat", "train/dog", "val/cat", "val/dog")):
        save_pictures(tmp_path / "pets" / name, range(3 * number, 3 * number + 3))
    return tmp_path / "pets"


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_is_understood(tmp_path, write):
    write(tmp_path / "data", {"train": ["a", "c"], "val": ["b"]})
    check = check_dataset(tmp_path / "data")
    assert (check.task, set(check.class_names)) == ("detection", {"cell", "worm"})
    train = check.splits["train"]
    assert (train.images, train.empty_images, train.boxes) == (2, 1, 2)
    assert check.splits["validation"].boxes == 1
    assert not check.stops
    assert check.format


def test_a_good_dataset(pets):
    check = check_dataset(pets)
    assert (check.problems, check.duplicates, check.error, check.stops) == ((), (), "", False)
    assert check.splits["train"].class_images == (3, 3)
    assert (check.task, check.class_names) == ("classification", ("cat", "dog"))


def test_duplicates_within_and_across_splits_and_of_several_classes(pets):
    shutil.copy(pets / "train/cat/0.png", pets / "train/cat/copy.png")
    shutil.copy(pets / "train/cat/1.png", pets / "val/cat/copy.png")
    Image.open(pets / "train/dog/3.png").resize((120, 90)).save(pets / "train/cat/d.jpg")
    check = check_dataset(pets)
    assert kinds(check) == {"leaked image": 1, "conflicting label": 1, "duplicate image": 1}
    assert not check.stops
    exact = [group.is_exact for group in check.duplicates]
    assert exact == [True, True, False]


def test_damaged_and_extreme_images(pets):
    content = (pets / "train/cat/0.png").read_bytes()
    (pets / "train/cat/0.png").write_bytes(content[: len(content) // 2])
    (pets / "train/dog/3.png").write_text("not an image")
    Image.new("RGB", (300, 20), "navy").save(pets / "val/dog/tall.png")
    check = check_dataset(pets)
    expected = {"damaged image": 2, "small image": 1, "narrow image": 1, "uniform image": 1}
    assert kinds(check) == expected
    assert check.splits["train"].class_images == (2, 2)
    assert not check.stops


def test_a_training_stops_where_the_check_says_so(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    write_labels(tmp_path / "labels/train/b.txt", ["0 0.5 0.5 0.2 0.2", "0 0.5 0.5 0 0.2"])
    check = check_dataset(tmp_path)
    assert [problem.kind for problem in check.problems if problem.stops] == ["invalid box"]
    assert (check.stops, check.error) == (True, "")
    with pytest.raises(ValueError, match="has no area"):
        load_detection_dataset(tmp_path)
    assert check.splits["train"].boxes == 3


def test_an_image_that_is_named_by_the_loader_is_named_once(tmp_path):
    write_voc(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    (tmp_path / "JPEGImages/c.jpg").write_text("not an image")
    check = check_dataset(tmp_path)
    assert kinds(check)["unreadable image"] == 1
    assert "damaged image" not in kinds(check)
    assert check.stops


def test_a_training_that_cannot_start(tmp_path):
    write_class_folders(tmp_path, per_class=1)
    check = check_dataset(tmp_path)
    assert check.stops
    assert "single image" in check.error


def test_the_image_size_decides_how_small_boxes_are(tmp_path):
    write_yolo(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    assert sum(check_dataset(tmp_path, image_size=80).splits["train"].tiny_boxes[8]) == 0
    assert sum(check_dataset(tmp_path, image_size=16).splits["train"].tiny_boxes[8]) == 3


def test_images_of_four_channels_in_a_rectangle(tmp_path):
    write_class_folders(tmp_path, per_class=3)
    for number, path in enumerate(sorted(tmp_path.rglob("*.png"))):
        field = np.asarray(picture(number).convert("RGBA"), "uint16") * 257
        np.save(path.with_suffix(".npy"), field)
        path.unlink()
    check = check_dataset(tmp_path, image_size=(32, 64), channels=4)
    assert (check.problems, check.stops) == ((), False)
    assert (check.to_json()["image_size"], check.to_json()["channels"]) == ([32, 64], 4)
    check = check_dataset(tmp_path)
    assert kinds(check) == {"damaged image": 9}
    assert "with `--channels 4`" in check.problems[0].reason
    assert check.stops


def test_the_result_as_json(pets, tmp_path):
    shutil.copy(pets / "train/cat/1.png", pets / "val/cat/copy.png")
    (pets / "notes.txt").touch()
    check = check_dataset(pets, cache=tmp_path / "cache")
    content = json.loads(json.dumps(check.to_json()))
    assert content["splits"]["train"] == {"images": 6, "class_images": [3, 3]}
    assert content["problems"]["unused file"]["count"] == 1
    assert content["problems"]["leaked image"]["stops"] is False
    (group,) = content["duplicates"]
    assert (group["exact"], group["leaks"]) == (True, True)
    assert {image["split"] for image in group["images"]} == {"train", "validation"}
    assert check_dataset(pets, cache=tmp_path / "cache") == check


def test_the_progress_is_reported(pets):
    steps = []

    def progress(label, total):
        steps.append((label, total))
        return steps.append

    check_dataset(pets, progress=progress)
    assert steps[0] == ("images", 12)
    assert sum(steps[1:]) == 12


def test_a_dataset_in_memory(tmp_path):
    images = [(picture(i), ("cat", "dog")[i % 2]) for i in range(6)]
    images.append((picture(0), "dog"))
    check = check_dataset(images, cache=tmp_path / "cache")
    assert check.splits["train"].class_images == (3, 4)
    assert kinds(check) == {"conflicting label": 1}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "arguments", [{"image_size": 0}, {"workers": 0}, {"format": "word"}, {"channels": 0}]
)
def test_arguments_are_checked(pets, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        check_dataset(pets, **arguments)


def test_a_dataset_is_inspected_without_decoding(pets):
    (pets / "train/cat/0.png").write_bytes((pets / "train/cat/0.png").read_bytes()[:500])
    (pets / "train/dog/3.png").write_text("not an image")
    loaded, size_of = inspect_dataset(pets)
    assert len(loaded.splits["train"]) == 5
    (problem,) = loaded.problems
    assert (problem.kind, problem.path) == ("damaged image", pets / "train/dog/3.png")
    assert size_of(pets / "train/cat/0.png") == (240, 180)
