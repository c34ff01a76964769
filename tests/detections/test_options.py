"""The options of a detector's post-processing."""

from dataclasses import replace

import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.detections.options import class_ids

pytestmark = pytest.mark.one_backend


def test_options_are_checked_and_filled():
    options = DetectionOptions(np.float32(0.5), None, np.int64(7))
    assert (type(options.score_threshold), type(options.max_detections)) == (float, int)
    filled = options.filled(0.1, 0.2, 3, 64, True, 9)
    assert filled == DetectionOptions(0.5, 0.2, 7, 64, None, True, 9)
    options = DetectionOptions(class_agnostic_nms=False, max_detections_per_class=2)
    filled = options.filled(0.1, 0.2, 3, 64, True, 9)
    assert (filled.class_agnostic_nms, filled.max_detections_per_class) == (False, 2)
    assert DetectionOptions(score_threshold=0).filled(0.1, 0.2, 3, 64).score_threshold == 0


def test_thresholds_of_classes():
    by_id = DetectionOptions([0.5, np.float32(0.25)])
    assert by_id.score_threshold == (0.5, 0.25)
    assert by_id.for_classes(("red", "white"), 0.1) == by_id
    by_name = DetectionOptions({"white": 0.5})
    assert by_name == replace(by_name) == DetectionOptions({"white": 0.5})
    assert len({by_name, by_id}) == 2  # hashable
    filled = by_name.filled(0.1, 0.2, 3, 64).for_classes(("red", "white"), (0.1, 0.2))
    assert filled.score_threshold == (0.1, 0.5)
    with pytest.raises(ValueError, match="classes of the model: red, blue"):
        by_name.for_classes(("red", "blue"), 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": 1.5}, "`score_threshold` must be a number, at least 0"),
        ({"score_threshold": [0.5, 2]}, "`score_threshold` must be a number, at least 0"),
        ({"score_threshold": {"red": -1}}, "`score_threshold` must be a number, at least 0"),
        ({"iou_threshold": "0.5"}, "`iou_threshold` must be a number, at least 0"),
        ({"max_detections": 0}, "`max_detections` must be an integer, at least 1"),
        ({"max_detections_per_class": 0}, "`max_detections_per_class` must be an integer, at lea"),
        ({"image_size": 64.5}, "`image_size` must be an integer"),
        ({"class_agnostic_nms": "no"}, "`class_agnostic_nms` must be True or False"),
        ({"classes": "cat"}, "`classes` must be a list of names or ids.*Received: classes='cat'"),
        ({"classes": []}, "with one or more"),
        ({"classes": [-1]}, "list of names or ids"),
        ({"classes": [True]}, "list of names or ids"),
        ({"classes": ["cat", 0.5]}, "list of names or ids"),
        ({"classes": [["cat"]]}, "list of names or ids"),
        ({"classes": 3}, "list of names or ids"),
    ],
)
def test_invalid_options(options, message):
    with pytest.raises(ValueError, match=message):
        DetectionOptions(**options)


def test_classes_by_name_and_by_id():
    options = DetectionOptions(classes=["hen", np.int64(0)])
    assert options.classes == ("hen", 0)
    assert replace(options) == options
    assert len({options, DetectionOptions(classes={0}), DetectionOptions()}) == 3  # hashable
    assert options.for_classes(("cat", "dog", "hen"), 0.1).classes == (0, 2)
    assert DetectionOptions(classes=np.array([1, 0])).for_classes(("cat", "dog"), 0.1).classes == (
        0,
        1,
    )
    assert DetectionOptions().for_classes(("cat",), 0.1).classes is None


def test_a_number_as_text_is_the_name_of_a_class_before_it_is_an_id():
    assert class_ids(["1"], ["cat", "dog"]) == (1,)
    assert class_ids(["1"], ["1", "dog"]) == (0,)
    assert class_ids([1], ["1", "dog"]) == (1,)
    for wrong in ("2", 2, "-1", -1, "Cat", ""):
        with pytest.raises(
            ValueError, match="must be classes of the model: cat, dog; or their ids"
        ):
            class_ids(["cat", wrong], ["cat", "dog"])
