"""Duplicates and near-duplicates among images."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data.doctor.duplicates import (
    MAX_BITS,
    DatasetImage,
    find_duplicates,
    similar_images,
)
from cspdarknet.data.doctor.facts import read_facts
from doctor_images import picture, save_pictures

pytestmark = pytest.mark.one_backend


def groups_of(images):
    facts = {image.path: read_facts(image.path) for image in images}
    return find_duplicates(images, facts)


def names(group):
    return [image.path.name for image in group.images]


def test_equal_files_and_similar_images(tmp_path):
    save_pictures(tmp_path, range(4))
    shutil.copy(tmp_path / "0.png", tmp_path / "0_copy.png")
    picture(0).resize((180, 135)).save(tmp_path / "0_small.jpg")
    splits = {"0": "train", "1": "train", "2": "test", "3": "test"}
    splits |= {"0_copy": "train", "0_small": "validation"}
    images = [DatasetImage(path, splits[path.stem]) for path in sorted(tmp_path.iterdir())]
    exact, similar = groups_of(images)
    assert (exact.is_exact, names(exact), exact.leaks) == (True, ["0.png", "0_copy.png"], False)
    assert not similar.is_exact
    assert names(similar) == ["0.png", "0_small.jpg"]
    assert similar.leaks


def test_equal_images_of_several_classes(tmp_path):
    path, _ = save_pictures(tmp_path, [0, 1])
    shutil.copy(path, tmp_path / "b.png")
    (group,) = groups_of(
        [DatasetImage(path, "train", "cat"), DatasetImage(tmp_path / "b.png", "train", "dog")]
    )
    assert group.conflicts
    assert not group.leaks


def test_images_of_a_single_color_are_equal_only_as_files(tmp_path):
    for name, color in {"a": "navy", "b": "red", "c": "white"}.items():
        Image.new("RGB", (80, 60), color).save(tmp_path / f"{name}.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "d.png")
    (group,) = groups_of([DatasetImage(path, "train") for path in sorted(tmp_path.iterdir())])
    assert (group.is_exact, names(group)) == (True, ["a.png", "d.png"])


def test_plain_backgrounds_do_not_make_images_similar(tmp_path):
    """The hashes of small things before a white background agree in most of their bits."""
    for i, color in enumerate(("red", "green", "blue")):
        image = Image.new("RGB", (160, 120), "white")
        image.paste(color, (60, 40, 100, 80))
        image.save(tmp_path / f"{i}.png")
    images = [DatasetImage(path, "train") for path in sorted(tmp_path.iterdir())]
    facts = [read_facts(image.path) for image in images]
    assert max((facts[0].hash ^ item.hash).bit_count() for item in facts) <= MAX_BITS
    assert groups_of(images) == []


def plain_groups(hashes):
    """The same by comparing all pairs."""
    labels = list(range(len(hashes)))
    for i, a in enumerate(hashes):
        for j, b in enumerate(hashes[:i]):
            if (int(a) ^ int(b)).bit_count() <= MAX_BITS and labels[i] != labels[j]:
                low, high = sorted((labels[i], labels[j]))
                labels = [low if label == high else label for label in labels]
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_all_pairs_within_the_distance_are_found(seed):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, 12, dtype="uint64")
    hashes = np.repeat(hashes, 12)
    for i in range(len(hashes)):
        for bit in rng.permutation(64)[: rng.integers(0, 5)]:
            hashes[i] ^= np.uint64(1) << np.uint64(bit)
    hashes = rng.permutation(hashes)
    labels = similar_images(hashes, np.zeros((len(hashes), 64, 3), "uint8"))
    assert labels.tolist() == plain_groups(hashes)


def test_similarity_is_transitive_as_among_the_frames_of_a_video():
    hashes = np.array([(1 << i) - 1 for i in range(60)], "uint64")
    assert set(similar_images(hashes, np.zeros((60, 64, 3), "uint8")).tolist()) == {0}


def test_many_images_of_a_static_camera_take_no_quadratic_memory_or_time():
    hashes = np.full(20_000, 12345, "uint64")
    thumbnails = np.zeros((20_000, 4, 3), "uint8")
    assert not similar_images(hashes, thumbnails).any()


def test_no_images():
    assert find_duplicates([], {}) == []
