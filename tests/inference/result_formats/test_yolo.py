"""Detections in the YOLO format."""

import numpy as np
import pytest

from cspdarknet.inference.result_formats.yolo import write_yolo
from detection_results import BEYOND, NAMES, RESULTS

pytestmark = pytest.mark.one_backend


def numbers(path):
    return np.array([line.split() for line in path.read_text().splitlines()], float).reshape(-1, 6)


def test_a_file_for_each_image(tmp_path):
    write_yolo(tmp_path, [*RESULTS, BEYOND], NAMES)
    labels = tmp_path / "labels"
    names = sorted(p.relative_to(labels).as_posix() for p in labels.rglob("*.txt"))
    assert names == ["a.txt", "clip_000000.txt", "clip_000001.txt", "x/b.txt"]
    expected = [
        [0, 7 / 60, 8.625 / 40, 10 / 60, 11.25 / 40, 0.9],
        [1, 0.5, 15 / 40, 20 / 60, 0.5, 0.6],
    ]
    np.testing.assert_allclose(numbers(labels / "a.txt"), expected, atol=1e-6)
    assert (labels / "clip_000000.txt").read_text() == ""
    assert (tmp_path / "classes.txt").read_text() == "red\nblue\n"


def test_boxes_are_inside_the_image(tmp_path):
    write_yolo(tmp_path, [BEYOND], NAMES)
    rows = numbers(tmp_path / "labels/x/b.txt")
    np.testing.assert_allclose(rows, [[1, 0.25, 22.5 / 40, 0.5, 35 / 40, 0.8]], atol=1e-6)


def test_the_files_of_an_earlier_run_are_replaced(tmp_path):
    write_yolo(tmp_path, RESULTS[:1], NAMES)
    write_yolo(tmp_path, [BEYOND], NAMES)
    assert [path.name for path in (tmp_path / "labels").rglob("*.txt")] == ["b.txt"]
    assert {path.name for path in tmp_path.iterdir()} == {"labels", "classes.txt"}
