"""Proposed score thresholds."""

import numpy as np
import pytest

from cspdarknet.evaluate import Criterion, DetectionEvaluation, score_threshold_of

pytestmark = pytest.mark.one_backend

BOX, ELSEWHERE = (0, 0, 10, 10), (100, 100, 110, 110)


@pytest.fixture
def evaluation_of(dataset_of, detections_of):
    """Makes an evaluation, each image of which has a box and a detection for each entry.

    An entry is a class, whether there is a box, and the scores of a true and a false detection.
    """

    def make(*entries, names=("a", "b")):
        boxes, detections = [], []
        for class_id, has_box, true, false in entries:
            boxes.append([(class_id, *BOX)] if has_box else [])
            rows = ((true, BOX), (false, ELSEWHERE))
            detections.append(
                detections_of(*((class_id, score, *box) for score, box in rows if score))
            )
        return DetectionEvaluation(dataset_of(*boxes, names=names), tuple(detections), {})

    return make


# Four boxes; in descending order, the detections are true, true, false, true, false, true.
ENTRIES = (
    (0, True, 0.9, 0.7),
    (0, True, 0.8, 0.5),
    (0, True, 0.6, None),
    (0, True, 0.4, None),
)


@pytest.mark.parametrize(
    ("criterion", "threshold", "detections", "correct"),
    [
        ("count", 0.55, 4, 3),  # four detections, like boxes
        ("f1", 0.2, 6, 4),  # F1 0.8; it is 0.75 with four detections
        ("recall=0.5", 0.75, 2, 2),
        ("recall=0.6", 0.55, 4, 3),
        ("precision=0.7", 0.55, 4, 3),
        ("precision=1", 0.75, 2, 2),
    ],
)
def test_thresholds_by_hand(evaluation_of, criterion, threshold, detections, correct):
    a, b = evaluation_of(*ENTRIES).thresholds(criterion)
    assert (a.threshold, a.detections, a.true_positives) == (threshold, detections, correct)
    assert (a.precision, a.recall) == (correct / detections, correct / 4)
    # A class without boxes gets the common threshold.
    assert (b.threshold, b.is_own, b.boxes, b.precision, b.recall) == (a.threshold, False, 0) + (
        None,
    ) * 2


def test_what_is_out_of_reach_is_approached(evaluation_of):
    missed = evaluation_of((0, True, 0.9, None), (0, True, None, 0.5))
    assert missed.thresholds("recall=1")[0].threshold == 0.7
    assert missed.thresholds("count")[0].detections == 2
    false = evaluation_of((0, True, 0.5, 0.9))
    assert false.thresholds("precision=1")[0].detections == 2


def test_equal_scores_are_kept_or_dropped_together(evaluation_of):
    """One or three detections for two boxes: both are off by one, so the higher threshold."""
    tied = evaluation_of((0, True, 0.9, 0.5), (0, True, 0.5, None))
    (a, _) = tied.thresholds("count")
    assert (a.threshold, a.detections) == (0.7, 1)


def test_scores_next_to_each_other_are_parted(evaluation_of):
    high = np.float32(0.5)
    low = np.nextafter(high, np.float32(0))
    (a, _) = evaluation_of((0, True, high, low)).thresholds("count")
    assert (a.detections, np.float32(a.threshold)) == (1, high)


@pytest.mark.parametrize("entries", [[], [(0, False, None, 0.5)], [(0, True, None, 0.5)]])
def test_nothing_is_proposed_if_no_box_is_detected(evaluation_of, entries):
    assert evaluation_of((0, False, None, None), *entries).thresholds() == []


def scattered(class_id, true_scores, false_scores, count=20):
    rng = np.random.default_rng(0)
    true, false = (rng.uniform(*limits, count) for limits in (true_scores, false_scores))
    return [(class_id, True, t, f) for t, f in zip(true, false, strict=True)]


def test_a_class_of_other_scores_has_its_own_threshold(evaluation_of):
    evaluation = evaluation_of(
        *scattered(0, (0.6, 0.9), (0.3, 0.5)), *scattered(1, (0.15, 0.25), (0.01, 0.1))
    )
    a, b = evaluation.thresholds()
    assert (a.is_own, b.is_own) == (True, True)
    assert (a.detections, b.detections) == (20, 20)
    assert a.precision == b.precision == 1
    assert score_threshold_of([a, b]) == (a.threshold, b.threshold)
    assert a.threshold > 0.5 > 0.15 >= b.threshold > 0.1


def test_classes_share_a_threshold_where_one_of_their_own_does_not_pay(evaluation_of):
    # Class 1 is like class 0.
    like = evaluation_of(
        *scattered(0, (0.5, 0.9), (0.1, 0.3)), *scattered(1, (0.5, 0.9), (0.1, 0.3))
    )
    a, b = like.thresholds()
    assert not a.is_own
    assert not b.is_own
    assert score_threshold_of([a, b]) == a.threshold
    # Class 1 is unlike class 0, but has nine boxes.
    few = evaluation_of(
        *scattered(0, (0.6, 0.9), (0.3, 0.5)), *scattered(1, (0.15, 0.25), (0.01, 0.1), 9)
    )
    a, b = few.thresholds()
    assert not b.is_own


def test_ignored_boxes_do_not_count(dataset_of, detections_of):
    dataset = dataset_of(
        [(0, *BOX), (0, *ELSEWHERE)], ignored=(np.array([False, True]),), names=("a",)
    )
    detections = detections_of((0, 0.9, *ELSEWHERE), (0, 0.8, *BOX), (0, 0.5, 50, 50, 60, 60))
    (a,) = DetectionEvaluation(dataset, (detections,), {}).thresholds()
    assert (a.boxes, a.detections, a.true_positives) == (1, 1, 1)


@pytest.mark.parametrize(
    "text", ["", "counts", "f1=1", "recall", "recall=0", "precision=1.1", None]
)
def test_criteria_are_checked(text):
    with pytest.raises(ValueError, match="must be count, f1, recall=NUMBER or precision=NUMBER"):
        Criterion.parse(text)
