"""Damaged, extreme and repeated images as problems."""

from pathlib import Path

import pytest

from cspdarknet.data.doctor.duplicates import DatasetImage, DuplicateGroup
from cspdarknet.data.doctor.facts import ImageFacts
from cspdarknet.data.doctor.images import duplicate_images, extreme_images

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("size", "kinds"),
    [
        ((640, 480), []),
        ((640, 31), ["small image", "narrow image"]),
        ((31, 31), ["small image"]),
        ((32, 160), []),
        ((32, 161), ["narrow image"]),
        ((8000, 5000), []),
        ((8000, 5001), ["large image"]),
        (None, []),
    ],
)
def test_extreme_sizes(size, kinds):
    problems = list(extreme_images({Path("a.jpg"): ImageFacts(size)}))
    assert [problem.kind for problem in problems] == kinds
    assert not any(problem.stops for problem in problems)


def group(*images, exact=True):
    rows = [DatasetImage(Path(name), split, label) for name, split, label in images]
    return DuplicateGroup(tuple(rows), exact)


def texts(*groups):
    return [f"{problem.kind}: {problem}" for problem in duplicate_images(groups)]


def test_groups_of_equal_images():
    a, b, c = ("a", "train", ""), ("b", "train", ""), ("c", "train", "")
    assert texts(group(a, b)) == ["duplicate image: a: has the same bytes as b"]
    assert texts(group(a, b, c, exact=False)) == ["similar image: a: looks almost like b, c"]
    many = [(str(i), "train", "") for i in range(9)]
    assert texts(group(*many)) == ["duplicate image: 0: has the same bytes as 1, 2, 3 and 5 more"]


def test_leaks_and_conflicts_name_the_other_split_and_class_first():
    leak = group(("a", "train", ""), ("b", "train", ""), ("c", "test", ""))
    assert texts(leak) == ["leaked image: a: of train, has the same bytes as c (test), b (train)"]
    both = group(("a", "train", "cat"), ("b", "train", "cat"), ("c", "validation", "dog"))
    assert texts(both) == [
        "conflicting label: a: of cat, has the same bytes as c (dog), b (cat)",
        "leaked image: a: of train, has the same bytes as c (validation), b (train)",
    ]
