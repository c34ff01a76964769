"""The summary of a dataset before a training."""

import pytest

from annotation_files import write_labels, write_yolo_config
from cspdarknet.data import load_detection_dataset, summary
from cspdarknet.data.summary import problem_counts

pytestmark = pytest.mark.one_backend


def test_lines_of_a_detection_dataset(tmp_path):
    write_yolo_config(tmp_path, {"train": ["a", "c"], "val": ["b"]})
    write_labels(tmp_path / "labels/val/b.txt", ["0 0.5 0.5 0 0.1", "0 0.5 0.5 0 0.2"])
    (tmp_path / "readme.md").touch()
    splits = load_detection_dataset(tmp_path, on_problem="fix")
    assert summary(splits) == [
        "data: YOLO: data.yaml names the classes and the splits",
        "images: 2 with 2 boxes for training, 1 without boxes for validation; "
        "2 classes: cell, worm",
        "problems: boxes without an area, or not of finite numbers: 2 (left out); "
        "files of other kinds: 1 (not read)",
    ]
    assert problem_counts([]) == ""
