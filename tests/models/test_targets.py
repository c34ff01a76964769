"""Targets of a detector: what is refused, and the padding that is added."""

import numpy as np
import pytest

from cspdarknet.models.targets import check_arrays, split_targets
from support import to_numpy

pytestmark = pytest.mark.one_backend


def targets(**changes):
    return {"boxes": np.zeros((4, 5, 4)), "classes": np.zeros((4, 5)), **changes}


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((4, 5, 4)), "dict of 'boxes'.*Received: ndarray"),
        ({"boxes": np.zeros((4, 5, 4))}, "dict of 'boxes'"),
        (targets(classes=np.zeros((4, 2))), "one entry for each object. Received: 5 boxes and 2"),
        (targets(classes=np.zeros((4, 5, 3))), r"class ids \(batch, objects\)"),
        (targets(boxes=np.zeros((4, 5))), r"\(batch, objects, 4\)"),
        (targets(boxes=np.zeros((4, 5, 5))), r"shapes \(4, 5, 5\) and \(4, 5\)"),
    ],
)
def test_targets_of_another_form(y, message):
    with pytest.raises(ValueError, match=message):
        split_targets(y)


def test_types_are_cast():
    boxes, classes = split_targets(targets(boxes=np.ones((4, 5, 4), "int64")))
    assert to_numpy(boxes).dtype == np.float32
    assert to_numpy(classes).dtype == np.int32


def test_no_object_becomes_one_of_padding():
    boxes, classes = split_targets(targets(boxes=np.zeros((4, 0, 4)), classes=np.zeros((4, 0))))
    assert to_numpy(boxes).tolist() == np.zeros((4, 1, 4)).tolist()
    assert to_numpy(classes).tolist() == [[-1]] * 4


def test_values_that_would_train_nonsense():
    images = np.zeros((4, 8, 8, 3))
    check_arrays(images, targets(classes=np.full((4, 5), 2)), 3)
    check_arrays(iter([images]), None, 3)
    with pytest.raises(ValueError, match=r"less than 3, the number of classes\. Received: 3"):
        check_arrays(images, targets(classes=np.full((4, 5), 3.0)), 3)
    with pytest.raises(ValueError, match="finite numbers"):
        check_arrays(np.full_like(images, np.nan), targets(), 3)
    bright = np.full((4, 16, 16, 3), 255, "float16")  # the sum is larger than any float16
    check_arrays(bright, targets(), 3)
