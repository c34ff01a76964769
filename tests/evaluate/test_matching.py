"""Matching of detections with ground-truth boxes."""

import numpy as np
import pytest

from cspdarknet.evaluate.matching import best_threshold, confusion, match, pairwise_iou

pytestmark = pytest.mark.one_backend


def test_iou_by_hand():
    a, b = np.array([[0, 0, 10, 10], [0, 0, 4, 4]]), np.array([[0, 0, 10, 5], [20, 0, 30, 9]])
    np.testing.assert_allclose(pairwise_iou(a, b), [[0.5, 0], [16 / 50, 0]])
    np.testing.assert_allclose(pairwise_iou(a, b, is_crowd=True), [[0.5, 0], [1, 0]])
    assert pairwise_iou(np.zeros((0, 4)), b).shape == (0, 2)


def test_the_detection_of_the_highest_confidence_is_matched_first(detections_of):
    boxes = np.array([[0, 0, 10, 10], [8, 0, 18, 10]])
    exact, off, other = (0, 0.5, 0, 0, 10, 10), (0, 0.9, 1, 0, 11, 10), (1, 0.99, 0, 0, 10, 10)
    detections = detections_of(exact, off, other)
    matches = match(boxes, np.array([0, 0]), np.zeros(2, bool), detections)
    assert matches.ground_truth.tolist() == [-1, 0, -1]
    assert matches.is_true_positive.tolist() == [False, True, False]
    assert matches.is_counted.all()


def test_an_iou_of_one_half_is_enough(detections_of):
    boxes, half = np.array([[0, 0, 10, 10]]), (0, 0.9, 0, 0, 10, 5)
    matches = match(boxes, np.array([0]), np.zeros(1, bool), detections_of(half))
    assert matches.ground_truth.tolist() == [0]


def test_detections_in_an_ignored_box_are_not_counted(detections_of):
    boxes, ignored = np.array([[0, 0, 100, 100]]), np.array([True])
    inside, outside, other = (
        (0, 0.9, 5, 5, 25, 25),
        (0, 0.9, 90, 90, 190, 190),
        (1, 0.9, 5, 5, 9, 9),
    )
    detections = detections_of(inside, outside, other)
    matches = match(boxes, np.array([0]), ignored, detections)
    assert matches.ground_truth.tolist() == [-1, -1, -1]
    assert matches.is_counted.tolist() == [False, True, True]


def matches_of(dataset, detections):
    rows = zip(dataset.boxes, dataset.labels, dataset.ignored, detections, strict=True)
    return [match(*row) for row in rows]


def test_confusion_and_threshold_by_hand(dataset_of, detections_of):
    dataset = dataset_of(
        [(0, 10, 10, 60, 60), (0, 100, 100, 180, 180), (1, 300, 50, 400, 200)],
        [(1, 20, 20, 60, 40)],
    )
    detections = [
        # A true positive; a box of class 0 detected as class 1.
        detections_of((0, 0.9, 10, 10, 60, 60), (1, 0.8, 100, 100, 180, 180)),
        # A true positive, and two false ones.
        detections_of((1, 0.7, 20, 20, 60, 40), (1, 0.3, 0, 0, 9, 9), (0, 0.2, 50, 50, 90, 90)),
    ]
    matches = matches_of(dataset, detections)
    assert confusion(dataset, detections, matches).tolist() == [[1, 1, 0], [0, 1, 1], [1, 1, 0]]
    # From 0.31 to 0.69, class 0 has F1 2/3 and class 1 has 1/2; all others are lower.
    assert best_threshold(dataset, detections, matches) == pytest.approx(0.5)


def test_there_is_no_threshold_without_boxes(dataset_of, detections_of):
    dataset, detections = dataset_of([]), [detections_of((0, 0.9, 1, 1, 9, 9))]
    assert best_threshold(dataset, detections, matches_of(dataset, detections)) is None
