"""Multi-label datasets: their loading, splits and training batches."""

from dataclasses import replace

import numpy as np
import pytest

from cspdarknet.data import (
    ClassificationAugmentation,
    MultiLabelDataset,
    MultiLabelSource,
    check_dataset,
    load_classification_dataset,
    load_classification_split,
    training_batches,
)
from cspdarknet.data.doctor.check import inspect_dataset
from cspdarknet.data.doctor.show import evaluation_pictures, training_pictures
from image_datasets import COLORS, write_class_folders, write_multi_label_dataset

pytestmark = pytest.mark.one_backend

NAMES = tuple(COLORS)


@pytest.fixture
def data(tmp_path):
    return write_multi_label_dataset(tmp_path / "images", 12)


def table(data):
    rows = (data / "_classes.csv").read_text().splitlines()[1:]
    return {data / row.split(",")[0]: [v == "1" for v in row.split(",")[1:]] for row in rows}


def test_a_table_and_its_splits(data):
    splits = load_classification_dataset(data, 0.25, seed=1, labels="multi")
    assert isinstance(splits.train, MultiLabelDataset)
    assert splits.class_names == NAMES
    expected = table(data)
    found = {}
    for dataset in (splits.train, splits.validation):
        found |= dict(zip(dataset.paths, dataset.labels.tolist(), strict=True))
        assert dataset.labels.dtype == bool
        np.testing.assert_array_equal(dataset.counts, dataset.labels.sum(axis=0))
    assert found == expected
    assert (splits.validation.counts > 0).all()
    assert splits.problems == ()
    other = replace(splits.train, labels=~splits.train.labels)
    assert other.fingerprint != splits.train.fingerprint


def test_groups_are_the_rarest_classes():
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
    dataset = MultiLabelDataset(NAMES, (), labels)
    assert dataset.counts.tolist() == [3, 2, 1]
    assert dataset.groups.tolist() == [1, 0, 2, 1, 3]
    assert dataset.classes_of(0) == ("blue", "green")
    assert dataset.classes_of(4) == ()


def test_other_formats_have_one_class(tmp_path):
    write_class_folders(tmp_path, 2)
    split = load_classification_split(tmp_path, NAMES, labels="multi")
    assert split.dataset.labels.sum(axis=1).tolist() == [1] * 6


def test_evaluated_images_have_known_classes(data):
    split = load_classification_split(data, ("red", "green", "blue"), labels="multi")
    expected = table(data)
    for path, labels in zip(split.dataset.paths, split.dataset.labels, strict=True):
        assert labels.tolist() == expected[path][::-1]
    with pytest.raises(ValueError, match="does not know: blue"):
        load_classification_split(data, ("red", "green"), labels="multi")


@pytest.fixture
def source(data):
    dataset = load_classification_dataset(data, 0.25, labels="multi").train
    return MultiLabelSource(dataset, ClassificationAugmentation(), len(dataset), seed=3)


def test_batches_have_the_labels(source):
    ((images, labels, weights),) = training_batches(source, 32, 0, 1)
    count = len(source.dataset)
    assert (images.shape, labels.dtype) == ((count, 32, 32, 3), "float32")
    assert weights.tolist() == [1] * count
    assert sorted(labels.tolist()) == sorted(source.dataset.labels.astype(float).tolist())


def test_a_mixture_has_the_mean_of_the_labels(source):
    rng = np.random.default_rng(0)
    rows = np.pad(source.dataset.labels, ((0, 0), (0, 1)), constant_values=True).astype("float32")
    images = rows[:, None, None, :3] * np.ones((1, 8, 8, 1), "float32")  # channels are labels
    mixing = ClassificationAugmentation(mix=1.0)
    for augmentation in (replace(mixing, cutmix_alpha=0.0), replace(mixing, mixup_alpha=0.0)):
        mixed, labels, weights = replace(source, augmentation=augmentation).finish(
            (images, rows), rng
        )
        # MixUp blends pixels as labels; CutMix blends labels by the area.
        np.testing.assert_allclose(labels, mixed.mean(axis=(1, 2)), atol=1e-6)
        np.testing.assert_allclose(weights, 1)
        assert ((labels > 0) & (labels < 1)).any()


def test_an_image_that_cannot_be_read_adds_nothing(source):
    source.dataset.paths[0].write_bytes(b"")
    ((_, labels, weights),) = training_batches(source, 32, 0, 1)
    assert (weights == 0).sum() == 1
    assert not labels[weights == 0].any()
    rows = np.array([[1, 0, 1, 1], [0, 0, 0, 0]], "float32")
    mixing = ClassificationAugmentation(mix=1.0, cutmix_alpha=0.0)
    mixed = replace(source, augmentation=mixing).finish(
        (np.zeros((2, 8, 8, 3)), rows), np.random.default_rng(0)
    )
    for label, weight in zip(*mixed[1:], strict=True):  # each is of the first image, or of none
        assert weight == 0 or label.tolist() == [1, 0, 1]


def test_the_doctor_reads_the_labels(data):
    check = check_dataset(data, labels="multi")
    counts = np.sum(list(table(data).values()), axis=0)
    assert check.splits["train"].class_images == tuple(counts)
    assert not check.stops
    single = check_dataset(data)
    assert single.stops
    assert "train with `--labels multi`" in str(single.problems[0])
    dataset, _ = inspect_dataset(data, labels="multi")
    pictures = list(evaluation_pictures(dataset.splits["train"], 32, 12))
    captions = {picture.name: picture.caption for picture in pictures}
    for path, labels in table(data).items():
        names = [name for name, label in zip(NAMES, labels, strict=True) if label]
        assert captions[path.name] == (", ".join(names) or "no class")


def test_pictures_of_training_batches(source):
    plain = replace(source, augmentation=ClassificationAugmentation(mix=0.0))
    captions = {picture.caption for picture in training_pictures(plain, 32, 99)}
    for i in range(len(source.dataset)):
        names = source.dataset.classes_of(i)
        text = ", ".join(f"{name} 100%" for name in names) if len(names) > 1 else "".join(names)
        assert (text or "no class") in captions
