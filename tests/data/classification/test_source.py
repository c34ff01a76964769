"""Training batches for image classification."""

from dataclasses import replace

import numpy as np
import pytest

from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    load_classification_dataset,
    training_batches,
)
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend

WEIGHTS = np.array([1, 2, 4], "float32")


@pytest.fixture
def source(tmp_path):
    dataset = load_classification_dataset(write_class_folders(tmp_path, 5)).train
    return ClassificationSource(dataset, ClassificationAugmentation(), 4, seed=3)


def test_class_weights_are_the_weights_of_the_images(source):
    weighted = replace(source, class_weights=WEIGHTS)
    for images, labels, weights in training_batches(weighted, 32, 0, 3):
        assert (images.shape, images.dtype, labels.dtype) == ((4, 32, 32, 3), "float32", "float32")
        np.testing.assert_array_equal(weights, labels @ WEIGHTS)


def test_a_mixture_keeps_the_weight_of_each_class(source):
    mixing = replace(source, augmentation=ClassificationAugmentation(mix=1.0))
    weighted = replace(mixing, class_weights=WEIGHTS)
    for a, b in zip(*(training_batches(s, 32, 0, 4) for s in (mixing, weighted)), strict=True):
        # The loss of each class is multiplied by weight times label.
        np.testing.assert_allclose(b[1] * b[2][:, None], a[1] * WEIGHTS, rtol=1e-5)
        np.testing.assert_allclose(b[1].sum(axis=1), 1, rtol=1e-5)


def test_without_mixing_each_image_has_one_class(source):
    mixing = replace(source, augmentation=ClassificationAugmentation(mix=1.0))
    for one_class, batches in ((False, mixing), (True, mixing.no_mixing)):
        labels = np.concatenate([batch[1] for batch in training_batches(batches, 32, 0, 4)])
        assert (labels.max(axis=1) == 1).all() == one_class


def test_an_image_that_breaks_during_training_has_no_weight(source):
    source.dataset.paths[0].write_bytes(b"")
    whole = replace(source, batch_size=len(source.dataset))
    ((images, labels, weights),) = training_batches(whole, 32, 0, 1)
    assert (weights == 0).sum() == 1
    assert (images[weights == 0] == 128).all()
    assert np.isfinite(labels).all()
    assert list(source.failures) == [source.dataset.paths[0]]
