"""New splits of datasets."""

import shutil
from collections import Counter

import numpy as np
import pytest

from annotation_files import write_coco, write_image, write_voc, write_yolo
from cspdarknet.data import read_dataset
from cspdarknet.data.writers import split_dataset
from cspdarknet.data.writers.assign import assign

pytestmark = pytest.mark.one_backend

FRACTIONS = (0.8, 0.1, 0.1)


def counts(groups, classes, fractions=FRACTIONS, seed=0):
    """Number of images of each split and class."""
    chosen = assign(groups, classes, fractions, seed)
    table = Counter((split, k) for split, kinds in zip(chosen, classes, strict=True) for k in kinds)
    names = sorted(set().union(*classes))
    return [[table[split, k] for k in names] for split in range(len(fractions))], chosen


def names(count):
    return [f"{i:05d}" for i in range(count)]


def test_each_class_has_the_same_fraction():
    table, _ = counts(names(100), [{0}] * 90 + [{1}] * 10)
    assert table == [[72, 8], [9, 1], [9, 1]]


def test_rare_classes_do_not_change_the_fractions():
    # Of each class half an image is due to validation and test.
    table, chosen = counts(names(500), [{i // 5} for i in range(500)])
    assert np.bincount(chosen).tolist() == [400, 50, 50]
    assert min(table[0]) >= 1


def test_images_with_several_classes():
    classes = [{0, 1} if i % 3 else {0} if i % 2 else set() for i in range(1000)]
    table, chosen = counts(names(1000), classes)
    assert np.bincount(chosen).tolist() == [800, 100, 100]
    for split, fraction in enumerate(FRACTIONS):
        total = np.sum(table, axis=0)
        np.testing.assert_allclose(table[split], total * fraction, atol=2)


def test_groups_stay_together_and_fill_every_split():
    groups = [f"video{i // 10}" for i in range(200)]
    classes = [{int(i >= 100)} for i in range(200)]
    table, chosen = counts(groups, classes)
    assert table == [[80, 80], [10, 10], [10, 10]]
    assert all(len(set(chosen[i : i + 10])) == 1 for i in range(0, 200, 10))
    # Three groups of one class are enough for three splits.
    table, _ = counts([f"{i // 10}" for i in range(30)], [{0}] * 30)
    assert table == [[10], [10], [10]]


def test_the_training_split_comes_first():
    assert counts(names(1), [{0}])[0] == [[1], [0], [0]]
    assert counts(names(2), [{0}] * 2)[0] == [[1], [1], [0]]
    assert counts(names(3), [{0}] * 3)[0] == [[1], [1], [1]]


def write_folders(folder, per_class=10):
    for label in ("cat", "dog"):
        for i in range(per_class):
            write_image(folder / label / f"v{i // 2}_{i % 2}.png", (9, 9 + i))
    return folder


def content_of_splits(folder):
    return {
        split: sorted((image.class_name, image.path.read_bytes()) for image in images)
        for split, images in read_dataset(folder).splits.items()
    }


def test_splits_depend_on_names_and_seed_only(tmp_path):
    source = write_folders(tmp_path / "source")
    written = split_dataset(source, tmp_path / "a", seed=3)
    assert (written.images, written.to) == ({"train": 16, "validation": 2, "test": 2}, "folder")
    # The same images in splits of their own, which are written in another order.
    for i, path in enumerate(sorted(source.rglob("*.png"), reverse=True)):
        target = tmp_path / "copy" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        assert i < 20
    split_dataset(tmp_path / "copy", tmp_path / "b", seed=3)
    assert content_of_splits(tmp_path / "a") == content_of_splits(tmp_path / "b")
    split_dataset(source, tmp_path / "c", seed=4)
    assert content_of_splits(tmp_path / "a") != content_of_splits(tmp_path / "c")


@pytest.mark.parametrize("group", [r"^(v\d)_", r"^v\d"])
def test_groups_from_file_names(tmp_path, group):
    write_folders(tmp_path / "source")
    split_dataset(tmp_path / "source", tmp_path / "new", (0.5, 0.5), group=group)
    splits = read_dataset(tmp_path / "new").splits
    videos = [{image.path.name[:2] for image in images} for images in splits.values()]
    assert len(videos) == 2
    assert videos[0] | videos[1] == {f"v{i}" for i in range(5)}
    assert not videos[0] & videos[1]


def test_groups_of_folders(tmp_path):
    for patient in range(6):
        for i in range(2):
            write_image(tmp_path / f"source/images/{patient}/{patient}{i}.png")
            label = tmp_path / f"source/labels/{patient}/{patient}{i}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.5 0.5")
    (tmp_path / "source/classes.txt").write_text("cell")
    written = split_dataset(tmp_path / "source", tmp_path / "new", group="folder")
    assert written.to == "yolo"
    splits = read_dataset(tmp_path / "new").splits
    patients = [{image.path.name[0] for image in images} for images in splits.values()]
    assert sum(map(len, patients)) == 6


def test_a_class_without_training_images_is_refused(tmp_path):
    write_folders(tmp_path / "source")
    with pytest.raises(ValueError, match=r"all images of dog|all images of cat"):
        split_dataset(
            tmp_path / "source", tmp_path / "new", (0.5, 0.5), by="random", group="folder"
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("write", "to"), [(write_coco, "coco"), (write_voc, "voc"), (write_yolo, "yolo")]
)
def test_the_format_of_the_source_is_kept(tmp_path, write, to):
    write(tmp_path / "source", {"train": ["a"], "val": ["b", "c"]})
    written = split_dataset(tmp_path / "source", tmp_path / "new", (0.6, 0.4))
    assert written.to == to
    assert sum(written.images.values()) == 3
    other = split_dataset(tmp_path / "source", tmp_path / "other", (1, 0), to="voc")
    assert (other.to, other.images) == ("voc", {"train": 3})


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"fractions": (0.8, 0.3)}, "of sum 1"),
        ({"fractions": (0.0, 1.0)}, "must not be 0"),
        ({"fractions": (1.0,)}, "two or three numbers"),
        ({"fractions": (0.8, float("nan"), 0.2)}, "numbers in 0..1"),
        ({"seed": -1}, "`seed` must be an integer"),
        ({"by": "size"}, "`by` must be one of 'class', 'random'"),
        ({"group": "("}, "a regular expression"),
        ({"group": "^v0"}, "does not match 16 of 20 names, such as v1_0.png"),
        ({"to": "yolo"}, "classification can be written as folder"),
    ],
)
def test_arguments_are_checked(tmp_path, options, match):
    write_folders(tmp_path / "source")
    with pytest.raises(ValueError, match=match):
        split_dataset(tmp_path / "source", tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
