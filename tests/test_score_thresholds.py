"""Score thresholds: one, one for each class, or those of named classes."""

import numpy as np
import pytest

from cspdarknet.score_thresholds import (
    check_named_thresholds,
    check_score_threshold,
    of_classes,
    parse_score_threshold,
    to_json,
)

pytestmark = pytest.mark.one_backend


def test_numbers_and_sequences():
    assert check_score_threshold(1) == 1.0
    assert check_score_threshold([0, np.float32(0.5)], 2) == (0.0, 0.5)
    assert check_score_threshold(np.array([0.25])) == (0.25,)
    assert (to_json(0.5), to_json((0.5, 1.0))) == (0.5, [0.5, 1.0])


@pytest.mark.parametrize(
    ("value", "num_classes", "message"),
    [
        (1.5, None, "must be a number, at least 0 and at most 1. Received: score_threshold=1.5"),
        ([0.5, float("nan")], 2, "must be a number.*nan"),
        ("0.5", None, "must be a number.*'0.5'"),
        ([], None, "one for each class. Received: 0 numbers"),
        ([0.5], 2, "one for each of the 2 classes. Received: 1 numbers"),
        ([[0.5], [0.5]], 2, "must be a number"),
    ],
)
def test_invalid_thresholds(value, num_classes, message):
    with pytest.raises(ValueError, match=message):
        check_score_threshold(value, num_classes)


@pytest.mark.parametrize("value", [{}, {0: 0.5}, {"cat": 2}])
def test_invalid_names(value):
    with pytest.raises(ValueError, match="must"):
        check_named_thresholds(value)


def test_classes_that_are_not_named_keep_their_default():
    names = ("cat", "dog", "cow")
    assert of_classes((("dog", 0.5),), (0.1, 0.2, 0.3), names) == (0.1, 0.5, 0.3)
    assert of_classes((("dog", 0.5),), 0.25, names) == (0.25, 0.5, 0.25)
    assert of_classes(0.4, 0.25, names) == 0.4
    with pytest.raises(ValueError, match=r"cat, dog, cow\. Received: hen"):
        of_classes((("dog", 0.5), ("hen", 0.5)), 0.25, names)
    with pytest.raises(ValueError, match="each of the 3 classes"):
        of_classes((0.5, 0.5), 0.25, names)


def test_texts():
    assert parse_score_threshold(None) is None
    assert parse_score_threshold(" 0.3") == 0.3
    assert parse_score_threshold("big cat = 0.3, a=b=1") == {"big cat": 0.3, "a=b": 1.0}


@pytest.mark.parametrize("text", ["", "cat", "cat=", "=0.3", "0.3,0.4", "0.3,cat=0.5", "a=1,a=1"])
def test_invalid_texts(text):
    with pytest.raises(ValueError, match="or class names with numbers such as"):
        parse_score_threshold(text)
