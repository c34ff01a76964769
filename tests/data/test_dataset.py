"""Base classes of the datasets of both tasks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cspdarknet.data import ClassificationDataset, DetectionDataset

pytestmark = pytest.mark.one_backend


def classification(folder):
    paths = tuple(folder / f"{i}.png" for i in range(3))
    return ClassificationDataset(("a", "b"), paths, np.array([0, 1, 1], "int32"))


def detection(folder):
    boxes = tuple(np.arange(4 * n, dtype="float32").reshape(n, 4) for n in (1, 0, 2))
    labels = tuple(np.arange(n, dtype="int32") for n in (1, 0, 2))
    ignored = tuple(np.zeros(n, bool) for n in (1, 0, 2))
    paths = tuple(folder / f"{i}.png" for i in range(3))
    return DetectionDataset(("a", "b"), paths, boxes, labels, ignored)


@pytest.mark.parametrize("make", [classification, detection])
def test_images_are_taken_with_their_annotations(make):
    dataset = make(Path("images"))
    taken = dataset.take(np.array([2, 0]))
    assert type(taken) is type(dataset)
    assert (len(taken), taken.class_names) == (2, dataset.class_names)
    assert taken.paths == (Path("images/2.png"), Path("images/0.png"))
    np.testing.assert_array_equal(taken.labels[0], dataset.labels[2])
    np.testing.assert_array_equal(taken.counts, [[1, 1], [2, 1]][make is detection])
    assert len(dataset.take([])) == 0


@pytest.mark.parametrize("make", [classification, detection])
def test_the_fingerprint_is_of_names_and_annotations_and_not_of_the_folder(
    make, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    dataset = make(tmp_path)
    assert dataset.fingerprint == make(Path()).fingerprint == make(Path("moved")).fingerprint
    labels = [labels + 1 for labels in dataset.labels]
    labels = np.array(labels) if make is classification else tuple(labels)
    changed = [
        replace(dataset, class_names=("a", "c")),
        replace(dataset, paths=(*dataset.paths[:2], tmp_path / "other.png")),
        replace(dataset, labels=labels),
        dataset.take([1, 0, 2]),
        dataset.take([0, 1]),
    ]
    if make is detection:
        changed.append(replace(dataset, boxes=tuple(boxes + 1 for boxes in dataset.boxes)))
        changed.append(replace(dataset, ignored=tuple(~ignored for ignored in dataset.ignored)))
    assert len({dataset.fingerprint, *(other.fingerprint for other in changed)}) == 1 + len(changed)


def test_the_fingerprints_of_bundled_presets_can_be_computed_again():
    """They identify the training data: the fingerprint of the same files must never change."""
    known = "5d178a71", "3bf4c238"
    assert (classification(Path()).fingerprint[:8], detection(Path()).fingerprint[:8]) == known
