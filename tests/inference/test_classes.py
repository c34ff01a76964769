"""The classes that a classifier gives for an image."""

import numpy as np
import pytest

from cspdarknet.inference.classes import predicted_classes
from cspdarknet.model_info import ModelInfo

pytestmark = pytest.mark.one_backend

RESULT = np.array([0.2, 0.5, 0.7], "float32")


@pytest.mark.parametrize(
    ("threshold", "top", "expected"),
    [
        (None, None, [2, 1]),
        (0.7, None, [2]),
        ((0.2, 0.6, 0.7), None, [2, 0]),
        (0.9, None, []),
        (0.0, None, [2, 1, 0]),
        (0.9, 2, [2, 1]),
    ],
)
def test_classes_of_a_multi_label_classifier(threshold, top, expected):
    info = ModelInfo("classification", labels="multi", score_threshold=threshold)
    assert predicted_classes(RESULT, info, top, usual=1).tolist() == expected


def test_classes_of_other_classifiers():
    for labels in ("single", "ordinal"):
        info = ModelInfo("classification", labels=labels)
        assert predicted_classes(RESULT, info, usual=2).tolist() == [2, 1]
        assert predicted_classes(RESULT, info, top=1, usual=2).tolist() == [2]
