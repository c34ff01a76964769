"""Differences between the trainings of classifiers and of detectors."""

import numpy as np
import pytest

from cspdarknet.data import ClassificationDataset
from cspdarknet.train import ClassificationRecipe, Phase
from cspdarknet.train.tasks import ClassificationTask, class_weights

pytestmark = pytest.mark.one_backend


def dataset(labels, names=("a", "b")):
    return ClassificationDataset(names, (None,) * len(labels), np.array(labels))


def test_balanced_class_weights():
    images = dataset([0, 0, 0, 1])
    weights = class_weights(images, "balanced")
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert weights[images.labels].mean() == pytest.approx(1)
    assert class_weights(images, "equal") is None


def test_each_class_needs_a_training_image():
    task = ClassificationTask(ClassificationRecipe((Phase(1),)))
    task.check_data(dataset([0, 1]))
    with pytest.raises(ValueError, match="Without one: b, d"):
        task.check_data(dataset([0, 2], ("a", "b", "c", "d")))
