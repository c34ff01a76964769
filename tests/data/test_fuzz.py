"""A small number of cases of `tools/fuzz_annotations.py`."""

import importlib
import os
import signal
import sys
from pathlib import Path

import pytest

from annotation_files import voc_xml, write_voc, write_yolo, write_yolo_config
from cspdarknet.data import load_detection_dataset, read_dataset
from cspdarknet.data.formats import FORMATS
from cspdarknet.images import ImageError, image_size

pytestmark = pytest.mark.one_backend

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    path = list(sys.path)
    yield importlib.import_module("fuzz_annotations")
    sys.path[:] = path
    signal.signal(signal.SIGALRM, before)


def test_mutated_annotations_end_with_a_dataset_or_a_value_error(fuzz):
    seeds = fuzz.seeds()
    assert {seed.format for seed in seeds} == {format.name for format in FORMATS}
    cases = fuzz.run_batch(0, 200, 1, seeds)
    failed = [case for case in cases if case.outcome not in fuzz.GOOD]
    assert not failed, failed[0]
    # The mutations reach the readers, and not all of them are refused at once.
    assert {case.outcome for case in cases} == set(fuzz.GOOD)


def test_other_errors_are_noticed(fuzz, monkeypatch):
    seeds = fuzz.seeds()

    def fail(*_):
        raise KeyError("x")

    monkeypatch.setattr(fuzz, "_use", fail)
    (case,) = fuzz.run_batch(5, 6, 0, seeds)
    assert case.outcome == "KeyError"
    assert "KeyError: 'x'" in case.detail


# What the fuzzer has found.


def test_pipes_and_devices_are_not_read(tmp_path):
    source = write_yolo_config(tmp_path / "d", {"train": ["a"], "val": ["b"]})
    (source / "labels/train/a.txt").unlink()
    (source / "labels/train/a.txt").symlink_to("/dev/zero")
    (source / "images/val/b.jpg").unlink()
    os.mkfifo(source / "images/val/b.jpg")
    splits = read_dataset(source).splits
    assert [image.boxes for image in splits["train"]] == [[]]
    assert splits["validation"] == []
    with pytest.raises(ImageError, match="not a file"):
        image_size(source / "images/val/b.jpg")
    with pytest.raises(ValueError, match="neither a folder nor a file"):
        read_dataset(source / "images/val/b.jpg")


def test_a_link_to_itself_is_a_missing_image(tmp_path):
    source = write_voc(tmp_path / "d", {"train": ["a", "b"]})
    (source / "JPEGImages/a.jpg").unlink()
    (source / "JPEGImages/a.jpg").symlink_to("a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg: there is no such image"):
        load_detection_dataset(source)


@pytest.mark.parametrize("name", ["data.yaml", "classes.txt"])
def test_a_broken_link_to_a_description(tmp_path, name):
    source = write_yolo(tmp_path / "d", {"train": ["a"]})
    (source / "classes.txt").rename(source / "other.txt")
    (source / name).symlink_to("nothing")
    with pytest.raises(ValueError, match=r"classes|does not describe|cannot be read"):
        read_dataset(source)


@pytest.mark.parametrize("entry", ["/", "../.."])
def test_a_folder_above_the_dataset_is_not_searched(tmp_path, entry):
    source = write_yolo_config(tmp_path / "d/e", {"val": ["b"]})
    with (source / "data.yaml").open("a") as file:
        file.write(f"\ntrain: {entry}\n")
    with pytest.raises(ValueError, match="a folder that holds the dataset itself"):
        read_dataset(source)


def test_a_large_file_of_something_else_is_not_read_as_json(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(50_000_000_000)  # takes no space
    with pytest.raises(ValueError, match="not a JSON file: it begins with"):
        read_dataset(path)


def test_boxes_are_checked_as_the_numbers_that_are_kept(tmp_path):
    boxes = [("cell", (1, 2, 30, 40)), ("cell", (1.00000001, 2, 30, 40))]
    boxes += [("cell", (5, 5, 5.00000001, 9)), ("cell", (-7, 5, 9, 9)), ("cell", (-8, 5, 9, 9))]
    source = write_voc(tmp_path / "d", {"train": ["a"], "val": ["b"]})
    (source / "Annotations/a.xml").write_text(voc_xml(boxes))
    splits = load_detection_dataset(source, on_problem="fix")
    assert splits.train.boxes[0].tolist() == [[1, 2, 30, 40], [0, 5, 9, 9]]
    kinds = [problem.kind for problem in splits.problems]
    assert kinds == ["repeated box", "invalid box", "box beyond image", "repeated box"]
