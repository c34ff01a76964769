"""The endless sequence of training batches, for both tasks."""

from dataclasses import replace

import numpy as np
import pytest

from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    DetectionAugmentation,
    DetectionSource,
    load_classification_dataset,
    load_detection_dataset,
    training_batches,
)
from image_datasets import write_class_folders, write_yolo_dataset

pytestmark = pytest.mark.one_backend


@pytest.fixture(params=["classification", "detection"])
def source(request, tmp_path):
    """A source of 12 or 10 images with every random change."""
    if request.param == "classification":
        dataset = load_classification_dataset(write_class_folders(tmp_path, 5)).train
        return ClassificationSource(dataset, ClassificationAugmentation(mix=0.5), 4, seed=3)
    dataset = load_detection_dataset(write_yolo_dataset(tmp_path / "boxes", 12)).train
    augmentation = DetectionAugmentation(mixup=0.5, flip_vertical=0.3, multi_scale=(0.5, 2.0))
    return DetectionSource(dataset, augmentation, 4, seed=3, max_boxes=8)


def arrays(batch):
    images, targets, weights = batch
    return [images, *(targets.values() if isinstance(targets, dict) else [targets]), weights]


def assert_same(batches, expected):
    for batch, other in zip(batches, expected, strict=True):
        for a, b in zip(arrays(batch), arrays(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_batch_depends_on_the_seed_and_its_index_only(source):
    whole = list(training_batches(source, 32, 0, 6))
    again = replace(source, workers=1, failures={})
    assert_same(training_batches(again, 32, 4, 2), whole[4:])
    assert not np.array_equal(whole[0][0], whole[3][0])  # of the same images in another pass
    (other,) = training_batches(replace(source, seed=4), 32, 0, 1)
    assert not np.array_equal(arrays(other)[1], arrays(whole[0])[1])


def test_each_pass_has_each_image_once_in_another_order(source):
    indices = []

    class Recorder(type(source)):
        def load(self, index, size, rng):
            indices.append(index)
            return super().load(index, size, rng)

    count = len(source.dataset)
    recorder = Recorder(source.dataset, source.augmentation, batch_size=count, workers=1)
    list(training_batches(recorder, 32, 0, 3))
    passes = [indices[i : i + count] for i in range(0, len(indices), count)][:3]
    assert all(sorted(one) == list(range(count)) for one in passes)
    assert passes[0] != passes[1]


def test_batches_of_one_image(source):
    whole = list(training_batches(replace(source, batch_size=1).no_mixing, 32, 0, 30))
    assert [len(images) for images, _, _ in whole] == [1] * 30
    assert len(list(training_batches(replace(source, batch_size=1), 32, 20_000, 2))) == 2


def test_processes_divide_each_batch_between_them(source):
    if isinstance(source, ClassificationSource):
        source = source.no_mixing  # each process mixes its own images
    halves = [replace(source, process=(i, 2)) for i in (0, 1)]
    whole = training_batches(source, 32, 0, 3)
    parts = [training_batches(half, 32, 0, 3) for half in halves]
    for batch, *shares in zip(whole, *parts, strict=True):
        for i, share in enumerate(shares):
            for expected, found in zip(arrays(batch), arrays(share), strict=True):
                np.testing.assert_array_equal(expected[i::2], found)
