"""Ground truth and detections that the tests of evaluation share."""

from pathlib import Path

import numpy as np
import pytest

from cspdarknet.data import DetectionDataset
from cspdarknet.detections import Detections

SIZE = (480, 640)
NAMES = ("a", "b")


def _dataset(*images, names=NAMES, ignored=None):
    rows = [np.array(image, "float32").reshape(-1, 5) for image in images]
    return DetectionDataset(
        names,
        tuple(Path(str(i)) for i in range(len(images))),
        tuple(row[:, 1:] for row in rows),
        tuple(row[:, 0].astype("int64") for row in rows),
        ignored or tuple(np.zeros(len(row), bool) for row in rows),
    )


def _detections(*rows):
    table = np.array(rows, "float64").reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 1], table[:, 0], SIZE)


@pytest.fixture(scope="session")
def dataset_of():
    """Makes a dataset from lists of `(class id, x1, y1, x2, y2)`, one for each image."""
    return _dataset


@pytest.fixture(scope="session")
def detections_of():
    """Makes the detections of one image from `(class id, confidence, x1, y1, x2, y2)`."""
    return _detections


@pytest.fixture(scope="session")
def dataset():
    """Three images, the last of which has no box."""
    return _dataset(
        [(0, 10, 10, 60, 60), (0, 100, 100, 180, 180), (1, 300, 50, 400, 200)],
        [(1, 20, 20, 60, 40)],
        [],
    )


@pytest.fixture(scope="session")
def perfect_detections():
    """Makes detections that are the ground truth of a dataset."""

    def make(dataset):
        return tuple(
            Detections(boxes, np.full(len(boxes), 0.9), labels, SIZE)
            for boxes, labels in zip(dataset.boxes, dataset.labels, strict=True)
        )

    return make


@pytest.fixture(scope="session")
def noisy():
    """Makes random boxes, and detections that are shifted, duplicated, missing or false."""

    def make(seed, images=12):
        rng = np.random.default_rng(seed)
        truth, detections = [], []
        for _ in range(images):
            n = rng.integers(0, 9)
            corner = rng.uniform(0, 400, (n, 2))
            boxes = np.concatenate([corner, corner + rng.uniform(20, 120, (n, 2))], axis=1)
            labels = rng.integers(0, 2, n)
            truth.append(np.column_stack([labels, boxes]).tolist())
            kept = rng.random(n) < 0.8
            twice = np.concatenate([boxes[kept], boxes[rng.random(n) < 0.3]])
            classes = np.concatenate([labels[kept], rng.integers(0, 2, len(twice) - kept.sum())])
            moved = twice + rng.normal(0, 8, twice.shape)
            moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
            confidence = np.round(rng.uniform(0.05, 1, len(moved)), 6)
            detections.append(Detections(moved, confidence, classes, SIZE))
        return _dataset(*truth), tuple(detections)

    return make
