"""IoU of boxes as tensors."""

import keras
import numpy as np
import pytest

from cspdarknet.yolox.boxes import from_center, from_xyxy, iou
from support import to_numpy

pytestmark = pytest.mark.one_backend


def tensor(boxes):
    return keras.ops.convert_to_tensor(np.array(boxes, "float32"))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 10, 10], 1),
        ([5, 0, 15, 10], 1 / 3),
        ([2, 2, 4, 7], 0.1),
        ([10, 0, 20, 10], 0),
        ([11, 0, 20, 10], 0),
        ([0, 12, 10, 30], 0),
        ([11, 12, 20, 30], 0),
        ([5, 5, 5, 5], 0),
    ],
)
def test_by_hand(box, expected):
    left, top, right, bottom = box
    center = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    for corners in (from_xyxy(tensor(box)), from_center(tensor(center))):
        value = iou(from_xyxy(tensor([0, 0, 10, 10])), corners)
        assert float(value) == pytest.approx(expected, abs=1e-6)


def test_empty_boxes_have_no_iou():
    empty = from_center(tensor([3, 3, 0, 0]))
    assert float(iou(empty, empty)) == 0


def test_shapes_are_broadcast():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 9, (2, 3, 4)), rng.uniform(1, 9, (2, 5, 4))
    pairwise = to_numpy(iou(from_center(tensor(a)[:, :, None]), from_center(tensor(b)[:, None])))
    assert pairwise.shape == (2, 3, 5)
    single = iou(from_center(tensor(a[1, 2])), from_center(tensor(b[1, 4])))
    assert pairwise[1, 2, 4] == pytest.approx(float(single), rel=1e-6)
