"""Random datasets, written in each format and read back, are equal."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from cspdarknet.data import (
    ClassificationDataset,
    DetectionDataset,
    load_classification_dataset,
    load_detection_dataset,
)
from cspdarknet.data.problems import Problem
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.write import WRITERS, write_dataset

pytestmark = pytest.mark.one_backend

TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
# Names as they are, and such as have a meaning for readers, file systems, XML, YAML or JSON.
WORDS = st.one_of(
    st.text(TEXT, min_size=1, max_size=12),
    st.sampled_from(
        [*("train", "val", "test", "images", "labels", "classes", "data", "a.jpg", "a.xml", "Ä"),
         *("no", "1", "1.0", "~", "null", "a: b", "- a", "#a", "<a>&amp;", "a\\b", "C:a", " a "),
         *("ﬁ", "İ", "e\u0301", "\u200b", "\u2028", "a\u00a0b", "'\x85", "日本"),
         *("x" * 190, "..a", "a..")]
    ),
)  # fmt: skip
SUFFIXES = st.sampled_from([".png", ".PNG", ".jpg", ".JPeG", ".webp", ".tif", ""])
FOLDERS = st.sampled_from(["", "a", "b c", "images", "labels/train", "val", "é"])


@st.composite
def image_names(draw):
    """Between 3 and 7 images in each of the splits train, validation and sometimes test."""
    names = st.tuples(FOLDERS, WORDS, SUFFIXES).map(
        lambda parts: f"{parts[0]}/{parts[1]}{parts[2]}"
    )
    found = draw(st.lists(names, min_size=3, max_size=9, unique_by=str.casefold))
    ends = (len(found) // 2, draw(st.sampled_from([len(found) - 1, len(found)])))
    splits = {"train": found[: ends[0]], "validation": found[ends[0] : ends[1]]}
    return splits | ({"test": found[ends[1] :]} if found[ends[1] :] else {})


@st.composite
def boxes(draw, size, num_classes, count):
    """Boxes that are valid as float32, no two of which are the same."""
    found = {}
    for _ in range(count):
        sides = []
        for side in size:
            ends = sorted(draw(st.lists(st.integers(0, 777), min_size=2, max_size=2, unique=True)))
            sides.append([np.float32(end * side / 777) for end in ends])
        (x1, x2), (y1, y2) = sides
        if max(x2, y2) > 1:  # others seem to be fractions
            box = (draw(st.integers(0, num_classes - 1)), x1, y1, x2, y2)
            found[box] = draw(st.booleans())
    return found


def write_images(folder, splits):
    """Write images of different sizes, and return their paths and sizes by split."""
    paths, sizes = {}, {}
    for i, (split, name) in enumerate((s, name) for s, names in splits.items() for name in names):
        path = folder / "images" / name.lstrip("/")
        assert path.is_relative_to(folder)
        if any(part.is_file() for part in path.parents) or path.exists():
            path = folder / f"{i}.png"  # a name such as `..`, or that of another's folder
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (10 + i, 30 - i)
        Image.new("RGB", size, (20 * i, 0, 0)).save(path, "PNG")
        paths.setdefault(split, []).append(path)
        sizes[path] = size
    return paths, sizes


@st.composite
def class_names(draw, to):
    names = draw(st.lists(WORDS.filter(WRITERS[to].can_name), min_size=2, max_size=6, unique=True))
    assert names
    return tuple(names)


def contents(dataset):
    return [path.read_bytes() for path in dataset.paths]


@pytest.mark.parametrize("to", ["coco", "voc", "yolo"])
@settings(max_examples=15, phases=[Phase.generate])  # to shrink them takes minutes
@given(data=st.data())
def test_detection(to, data):
    names = data.draw(class_names(to))
    with tempfile.TemporaryDirectory() as folder:
        paths, sizes = write_images(Path(folder), data.draw(image_names()))
        splits = {}
        for split, files in paths.items():
            drawn = [
                data.draw(boxes(sizes[path], len(names), data.draw(st.integers(0, 4))))
                for path in files
            ]
            if split == "train":  # without a box there is nothing to train on
                drawn[0] = {(1, 1, 1, 5, 5): False, **drawn[0]}
            splits[split] = DetectionDataset(
                names,
                tuple(files),
                tuple(np.array([box[1:] for box in b], "float32").reshape(-1, 4) for b in drawn),
                tuple(np.array([box[0] for box in b], "int32") for b in drawn),
                tuple(np.array(list(b.values()), bool) for b in drawn),
            )
        written = write_dataset(Path(folder, "written"), to, splits, ImageFiles())
        loaded = load_detection_dataset(written.path)
        assert loaded.class_names == names
        assert not loaded.problems
        for split, expected in splits.items():
            assert_equal_boxes(getattr(loaded, split), expected, WRITERS[to].keeps_ignored)
        dropped = sum(int(ignored.sum()) for d in splits.values() for ignored in d.ignored)
        assert bool(written.problems) == (to == "yolo" and dropped > 0)


def assert_equal_boxes(loaded, expected, keeps_ignored):
    index = {content: i for i, content in enumerate(contents(loaded))}
    assert len(index) == len(expected)
    for k, content in enumerate(contents(expected)):
        kept = np.ones(len(expected.labels[k]), bool) if keeps_ignored else ~expected.ignored[k]
        i = index[content]
        np.testing.assert_array_equal(loaded.labels[i], expected.labels[k][kept])
        np.testing.assert_array_equal(loaded.ignored[i], expected.ignored[k][kept])
        np.testing.assert_allclose(loaded.boxes[i], expected.boxes[k][kept], rtol=2e-7)
        if keeps_ignored:  # decimal numbers, not fractions
            np.testing.assert_array_equal(loaded.boxes[i], expected.boxes[k])


@settings(max_examples=15, phases=[Phase.generate])  # to shrink them takes minutes
@given(data=st.data())
def test_classification(data):
    names = tuple(sorted(data.draw(class_names("folder"))))
    with tempfile.TemporaryDirectory() as folder:
        paths, _ = write_images(Path(folder), data.draw(image_names()))
        paths["train"] = [*paths["train"], *write_more(Path(folder), len(names))]
        labels = {
            split: np.array([data.draw(st.integers(0, len(names) - 1)) for _ in files], "int32")
            for split, files in paths.items()
        }
        labels["train"][-len(names) :] = range(len(names))
        splits = {
            split: ClassificationDataset(names, tuple(files), labels[split])
            for split, files in paths.items()
        }
        written = write_dataset(Path(folder, "written"), "folder", splits, ImageFiles())
        loaded = load_classification_dataset(written.path)
        assert loaded.class_names == names
        assert not loaded.problems
        for split, expected in splits.items():
            dataset = getattr(loaded, split)
            found = dict(zip(contents(dataset), dataset.labels.tolist(), strict=True))
            assert found == dict(zip(contents(expected), labels[split].tolist(), strict=True))
            assert len(dataset) == len(found)


def write_more(folder, count):
    """An image for each class, so that none is missing in the training split."""
    found = []
    for i in range(count):
        found.append(folder / f"more{i}.png")
        Image.new("RGB", (50 + i, 8)).save(found[-1])
    return found


def test_a_file_name_that_is_not_text(tmp_path):
    path = Path(str(tmp_path).encode().decode(), "a\udcff.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(path)
    box = np.array([[1, 2, 3, 4]], "float32")
    dataset = DetectionDataset(
        ("a",), (path,), (box,), (np.zeros(1, "int32"),), (np.zeros(1, bool),)
    )
    for to in ("coco", "voc", "yolo"):
        written = write_dataset(tmp_path / to, to, {"train": dataset}, ImageFiles())
        (image,) = written.path.rglob("*.png")
        assert image.name == "a_.png"
        assert not any(isinstance(p, Problem) for p in written.problems)
