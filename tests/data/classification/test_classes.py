"""The order of the classes of a dataset."""

from pathlib import Path

import pytest

from cspdarknet.data.annotations import LabeledImage, MultiLabelImage
from cspdarknet.data.classification.classes import ordered_classes

pytestmark = pytest.mark.one_backend

DATA = Path("data")


def splits(*names, **others):
    found = {"train": names, **others}
    return {split: [LabeledImage(DATA, n) for n in names] for split, names in found.items()}


@pytest.mark.parametrize(
    ("names", "declared", "labels", "given", "expected"),
    [
        ("bca", None, "single", None, "abc"),
        ("bca", "cabx", "single", None, "cab"),
        ("bca", "cab", "single", "bca", "bca"),
        (("10", "9", "-1.5"), None, "single", None, ("-1.5", "10", "9")),
        (("10", "9", "-1.5"), None, "ordinal", None, ("-1.5", "9", "10")),
        ("bca", "cab", "ordinal", None, "cab"),
        (("a", "b;c"), None, "single", None, ("a", "b;c")),
        ("bca", None, "ordinal", "bca", "bca"),
    ],
)
def test_the_order(names, declared, labels, given, expected):
    assert ordered_classes(DATA, splits(*names), declared, labels, given) == tuple(expected)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (splits("low", "high"), {"labels": "ordinal"}, "--class-names LOW"),
        (splits("a", "b"), {"given": "ac"}, r"name each class of data once: a, b\. Received: a, c"),
        (splits("a", "b"), {"given": "aba"}, "once"),
        (splits("a"), {}, "at least two classes"),
        (splits("a", "b", "a; b", "b;c"), {}, "such as 'a; b': train on them with .--labels multi"),
        (splits(), {}, "no images to train on"),
        (splits("a", "b", test="ac"), {}, "in the test split without training images: c"),
        ({"train": [MultiLabelImage(DATA, ())]}, {"labels": "multi"}, "a class to train on"),
    ],
)
def test_classes_that_cannot_be_used(images, options, message):
    with pytest.raises(ValueError, match=message):
        ordered_classes(DATA, images, **options)


def test_a_multi_label_dataset_may_have_one_class():
    images = {"train": [MultiLabelImage(DATA, ("a",)), MultiLabelImage(DATA, ())]}
    assert ordered_classes(DATA, images, labels="multi") == ("a",)
