"""Names of splits, and setting images aside."""

import numpy as np
import pytest

from cspdarknet.data import ClassificationDataset
from cspdarknet.data.splits import (
    check_validation_split,
    evaluation_split,
    set_aside,
    split_name,
)

pytestmark = pytest.mark.one_backend


def dataset_of(labels):
    paths = tuple(f"{i}.jpg" for i in range(len(labels)))
    names = tuple(map(str, range(1 + max(labels))))
    return ClassificationDataset(names, paths, np.array(labels, "int32"))


def test_names_of_splits():
    names = ("train2017", "instances_val2017", "VALID", "test-dev", "trainval", "photos")
    assert [split_name(name) for name in names] == [
        *("train", "validation", "validation", "test"),
        *("train", None),
    ]
    names = ("training_set", "Testing", "seg_train", "testset", "trains", "latest", "invalid")
    assert [split_name(name) for name in names] == [
        *("train", "test", "train", "test"),
        *(None, None, None),
    ]
    names = (" Train ", "VALID", "train2017", "test tubes")
    assert [split_name(name, exact=True) for name in names] == ["train", "validation", None, None]


def test_the_same_fraction_of_each_group_is_set_aside():
    dataset = dataset_of([0] * 20 + [1] * 8 + [2] * 4 + [3])
    rest, aside = set_aside(dataset, dataset.labels, 0.25, seed=0)
    np.testing.assert_array_equal(rest.counts, [15, 6, 3, 1])
    np.testing.assert_array_equal(aside.counts, [5, 2, 1, 0])
    assert sorted(rest.paths + aside.paths) == sorted(dataset.paths)
    assert set_aside(dataset, dataset.labels, 0.25, seed=0)[1].paths == aside.paths
    assert set_aside(dataset, dataset.labels, 0.25, seed=1)[1].paths != aside.paths


def test_of_two_images_one_is_set_aside_and_one_stays():
    dataset = dataset_of([0, 0])
    for fraction in (0.01, 0.99):
        assert [len(part) for part in set_aside(dataset, dataset.labels, fraction, 0)] == [1, 1]
    dataset = dataset_of([0, 1])
    with pytest.raises(ValueError, match="each class has a single image"):
        set_aside(dataset, dataset.labels, 0.5, 0)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), "0.2"])
def test_a_validation_split_out_of_range(fraction):
    with pytest.raises(ValueError, match="`validation_split` must"):
        check_validation_split(fraction)


def test_the_split_to_evaluate_on():
    splits = {"train": [1], "validation": [2], "test": [3]}
    assert evaluation_split(splits) == "test"
    assert evaluation_split(splits | {"test": []}) == "validation"
    assert evaluation_split({"train": [1]}) == evaluation_split({}) == "train"
