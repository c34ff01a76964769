"""Numbers of images and boxes of each split and class."""

from pathlib import Path

import numpy as np
import pytest

from cspdarknet.data import DetectionDataset
from cspdarknet.data.doctor.summary import letterbox_ratios, summarize, trained_boxes

pytestmark = pytest.mark.one_backend

# Class, box and whether it is ignored, of three images; the last is not square.
ROWS = [
    [(0, (0, 0, 100, 7.5), False), (0, (0, 0, 50, 50), False), (1, (0, 0, 9, 9), True)],
    [],
    [(1, (10, 10, 40, 13), False), (0, (0, 0, 200, 20), False)],
]
SIZES = np.array([[100, 100], [100, 100], [400, 200]])


def dataset_of(rows=ROWS):
    columns = [list(zip(*image, strict=True)) or [(), (), ()] for image in rows]
    return DetectionDataset(
        ("cell", "worm"),
        tuple(Path(f"{i}.png") for i in range(len(rows))),
        tuple(np.array(boxes, "float32").reshape(-1, 4) for _, boxes, _ in columns),
        tuple(np.array(labels, "int32") for labels, _, _ in columns),
        tuple(np.array(ignored, bool) for _, _, ignored in columns),
    )


def test_images_and_boxes_of_each_class():
    summary = summarize(dataset_of(), SIZES, 100)
    assert (summary.images, summary.empty_images, summary.boxes) == (3, 1, 4)
    assert summary.class_images == (2, 1)
    assert summary.class_boxes == (3, 1)
    # At 100 pixels, the boxes of the last image have a quarter of their size.
    assert summary.tiny_boxes == {8: (2, 1), 2: (0, 1)}
    assert summarize(dataset_of(), SIZES, 400).tiny_boxes == {8: (0, 1), 2: (0, 0)}
    assert summary.to_json()["tiny_boxes"] == {"8": [2, 1], "2": [0, 1]}


def test_boxes_are_those_that_are_trained_on():
    owners, boxes, labels = trained_boxes(dataset_of())
    assert owners.tolist() == [0, 0, 2, 2]
    assert labels.tolist() == [0, 0, 1, 0]
    assert boxes[2].tolist() == [10, 10, 40, 13]
    assert letterbox_ratios(SIZES, 100).tolist() == [1, 1, 0.25]
    assert letterbox_ratios(SIZES, (100, 400)).tolist() == [1, 1, 0.5]
    assert letterbox_ratios(np.zeros((0, 2)), 100).tolist() == []


def test_no_boxes_and_no_images():
    for rows in ([[]], []):
        summary = summarize(dataset_of(rows), np.full((len(rows), 2), 100), 100)
        assert (summary.boxes, summary.class_boxes, summary.tiny_boxes[8]) == (0, (0, 0), (0, 0))
