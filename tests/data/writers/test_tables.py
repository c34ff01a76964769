"""Datasets of several classes per image and of numbers, written anew."""

import csv
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from cspdarknet.data import (
    MultiLabelDataset,
    load_classification_dataset,
    load_regression_dataset,
    read_dataset,
)
from cspdarknet.data.writers import convert_dataset, pack_dataset, split_dataset
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.tables import TableDataset
from cspdarknet.data.writers.write import WRITERS, write_dataset
from packed_files import change_index

pytestmark = pytest.mark.one_backend
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)


def images(folder, count):
    folder.mkdir(exist_ok=True)
    paths = tuple(folder / f"{i}.png" for i in range(count))
    for i, path in enumerate(paths):
        Image.new("RGB", (8 + i, 8)).save(path)
    return paths


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@settings(max_examples=15, phases=[Phase.generate])
@given(data=st.data())
def test_several_classes(data):
    fitting = st.lists(
        TEXTS.filter(WRITERS["multi-label"].can_name), min_size=2, max_size=4, unique=True
    )
    names = tuple(data.draw(fitting))
    flags = st.lists(st.booleans(), min_size=len(names), max_size=len(names))
    with tempfile.TemporaryDirectory() as folder:
        paths, rows = images(Path(folder), 6), [data.draw(flags) for _ in range(6)]
        rows[0] = [True] * len(names)  # each class has an image to train on
        dataset = MultiLabelDataset(names, paths, np.array(rows))
        splits = {"train": dataset.take(range(4)), "validation": dataset.take([4, 5])}
        written = write_dataset(Path(folder, "new"), "multi-label", splits, ImageFiles())
        loaded = load_classification_dataset(written.path, labels="multi")
        assert loaded.class_names == names
        for split, expected in splits.items():
            found = getattr(loaded, split)
            assert [path.name for path in found.paths] == [path.name for path in expected.paths]
            np.testing.assert_array_equal(found.labels, expected.labels)


@settings(max_examples=15, phases=[Phase.generate])
@given(data=st.data())
def test_numbers_and_texts(data):
    column = TEXTS.filter(lambda name: name.lower() not in ("path", "split", "age", "id", "index"))
    columns = ("age", *data.draw(st.lists(column, min_size=1, max_size=2, unique_by=str.lower)))
    numbers = st.floats(allow_nan=False, allow_infinity=False).map(repr)
    with tempfile.TemporaryDirectory() as folder:
        paths = images(Path(folder), 6)
        rows = tuple((data.draw(numbers), *(data.draw(TEXTS) for _ in columns[1:])) for _ in paths)
        dataset = TableDataset(columns, paths, rows)
        splits = {"train": dataset.take(range(4)), "test": dataset.take([4, 5])}
        written = write_dataset(Path(folder, "new"), "numbers", splits, ImageFiles())
        found = read_dataset(written.path, "regression").splits
        for split, expected in splits.items():
            assert [image.path.name for image in found[split]] == [p.name for p in expected.paths]
            assert [tuple(image.values.values()) for image in found[split]] == list(expected.rows)


def test_split_of_several_classes(tmp_path):
    """The fraction of each class is the same, also of a rare one."""
    rows = [
        f"{path.name},{'cat' if i % 2 else ''},{'dog' if i % 4 == 1 else ''}"
        for i, path in enumerate(images(tmp_path / "source", 40))
    ]
    flags = [row.replace(",cat", ",1").replace(",dog", ",1").replace(",,", ",0,") for row in rows]
    flags = [row + "0" if row.endswith(",") else row for row in flags]
    (tmp_path / "source/_classes.csv").write_text("\n".join(["filename,cat,dog", *flags]))
    written = split_dataset(tmp_path / "source", tmp_path / "new", (0.5, 0.5), labels="multi")
    assert (written.to, written.class_names) == ("multi-label", ("cat", "dog"))
    loaded = load_classification_dataset(written.path, labels="multi")
    assert [split.counts.tolist() for split in (loaded.train, loaded.validation)] == [[10, 5]] * 2
    assert written.images == {"train": 20, "validation": 20}


def test_conversion_of_class_folders_and_back(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        images(tmp_path / "pets" / name, 2)
    written = convert_dataset(tmp_path / "pets", tmp_path / "table", "multi-label", labels="multi")
    expected = {"0.png": {"1", "0"}, "1-2.png": {"0", "1"}}
    rows = {row["filename"]: row for row in read_rows(written.path / "train/_classes.csv")}
    assert {name: {rows[name]["cat"], rows[name]["dog"]} for name in expected} == expected
    convert_dataset(tmp_path / "table", tmp_path / "folders", "folder")
    assert len(list((tmp_path / "folders/train/dog").iterdir())) == 2


def test_split_of_numbers_keeps_every_column(tmp_path):
    names = [path.name for path in images(tmp_path / "source", 10)]
    rows = [f"{name},{i / 3},patient {i % 5}" for i, name in enumerate(names)]
    (tmp_path / "source/ages.csv").write_text("\n".join(["filename,age,patient", *rows]))
    written = split_dataset(tmp_path / "source", tmp_path / "new", (0.8, 0.2), task="regression")
    assert written.images == {"train": 8, "validation": 2}
    found = {
        row["path"]: (row["age"], row["patient"]) for row in read_rows(written.path / "numbers.csv")
    }
    assert found == {
        f"images/{name}": (str(i / 3), f"patient {i % 5}") for i, name in enumerate(names)
    }
    loaded = load_regression_dataset(written.path)
    assert loaded.train.target_names == ("age",)
    assert len(loaded.validation) == 2


@pytest.mark.parametrize(
    ("to", "task", "labels", "expected"),
    [
        ("folder", "classification", "multi", "with labels='multi' can be written as multi-label"),
        ("multi-label", None, "single", "is for classification with labels='multi'"),
        ("multi-label", "classification", "single", "can be written as folder"),
        ("coco", "regression", "single", "regression can be written as numbers"),
        ("numbers", "detection", "single", "which is for regression"),
    ],
)
def test_a_format_for_something_else(tmp_path, to, task, labels, expected):
    with pytest.raises(ValueError, match=expected):
        convert_dataset(tmp_path, tmp_path / "new", to, task, labels=labels)


@pytest.mark.parametrize("to", ["array-record", "parquet"])
def test_packed_datasets(tmp_path, to):
    """Images of several classes and numbers are read from shards as from the source."""
    names = [path.name for path in images(tmp_path / "tags", 8)]
    flags = [f"{name},{i % 2},{int(i < 3)}" for i, name in enumerate(names)]
    (tmp_path / "tags/_classes.csv").write_text("\n".join(["filename,cat,dog", *flags]))
    pack_dataset(tmp_path / "tags", tmp_path / "packed", to, labels="multi")
    loaded = [
        load_classification_dataset(tmp_path / name, labels="multi") for name in ("tags", "packed")
    ]
    assert loaded[0].train.fingerprint == loaded[1].train.fingerprint
    assert loaded[1].train.paths[0].read_bytes() == loaded[0].train.paths[0].read_bytes()
    with pytest.raises(ValueError, match="choose `--labels multi`"):
        load_classification_dataset(tmp_path / "packed")

    (tmp_path / "tags/_classes.csv").unlink()
    rows = [f"{name},{i / 3},{'Tom' if i else ''}" for i, name in enumerate(names)]
    (tmp_path / "tags/ages.csv").write_text("\n".join(["path,age,name", *rows]))
    packed = pack_dataset(tmp_path / "tags", tmp_path / "numbers", to, task="regression")
    assert packed.class_names == ("age", "name")
    before, after = (load_regression_dataset(tmp_path / name) for name in ("tags", "numbers"))
    assert before.train.fingerprint == after.train.fingerprint
    assert after.class_names == ("age",)
    splits = read_dataset(tmp_path / "numbers").splits
    assert splits["train"][0].values == {"age": "0.0", "name": ""}


def test_numbers_of_a_parquet_shard_are_those_of_the_table(tmp_path):
    """Other tools read the columns: numbers as numbers, and the images beside a column `image`."""
    names = [path.name for path in images(tmp_path / "source", 4)]
    rows = [f"{name},{i / 2},{'x' if i else ''},{i}" for i, name in enumerate(names)]
    table = ["filename,age,note,image", *rows]
    (tmp_path / "source/ages.csv").write_text("\n".join(table))
    packed = pack_dataset(tmp_path / "source", tmp_path / "new", "parquet", task="regression")
    assert packed.class_names == ("age", "note", "image")
    loaded = load_regression_dataset(tmp_path / "new/train-00000.parquet", 0.5)
    assert loaded.class_names == ("age", "image_")
    assert sorted([*loaded.train.targets[:, 0], *loaded.validation.targets[:, 0]]) == [
        0,
        0.5,
        1,
        1.5,
    ]


def test_names_of_images_are_kept_but_are_no_targets(tmp_path):
    names = [path.name for path in images(tmp_path / "source", 10)]
    rows = [f"{name},{100 + i},{i / 2},{i}" for i, name in enumerate(names)]
    (tmp_path / "source/ages.csv").write_text("\n".join(["filename,id,age,Index", *rows]))
    written = split_dataset(tmp_path / "source", tmp_path / "new", (0.8, 0.2), task="regression")
    assert written.class_names == ("id", "age")
    assert load_regression_dataset(written.path).class_names == ("age",)


def test_a_damaged_index_is_written_again(tmp_path):
    rows = [f"{path.name},{i}" for i, path in enumerate(images(tmp_path / "source", 3))]
    (tmp_path / "source/ages.csv").write_text("\n".join(["path,age", *rows]))
    pack_dataset(tmp_path / "source", tmp_path / "new", task="regression")
    index = tmp_path / "new/train-00000.json"
    index.write_text(index.read_text().replace('"2"', '"9"'))
    assert pack_dataset(tmp_path / "source", tmp_path / "new", task="regression").kept == 0
    images_read = read_dataset(tmp_path / "new").splits["train"]
    assert [image.values["age"] for image in images_read] == ["0", "1", "2"]


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    """A table of one class is taken for something else."""
    paths = images(tmp_path / "source", 4)
    source = [(path, ["cat"] if i % 2 else []) for i, path in enumerate(paths)]
    with pytest.raises(ValueError, match=r"could not be read again. .* columns: cat. Rename"):
        convert_dataset(source, tmp_path / "new", "multi-label", labels="multi")
    assert not (tmp_path / "new").exists()
    spaced = [(path, {" age ": i}) for i, path in enumerate(paths)]
    with pytest.raises(ValueError, match="the train split differs"):
        convert_dataset(spaced, tmp_path / "new", "numbers")


def test_labels_are_for_classification(tmp_path):
    rows = [f"{path.name},{i}" for i, path in enumerate(images(tmp_path / "source", 2))]
    (tmp_path / "source/ages.csv").write_text("\n".join(["path,age", *rows]))
    for write in (split_dataset, pack_dataset):
        with pytest.raises(ValueError, match="labels='multi' for a dataset for regression"):
            write(tmp_path / "source", tmp_path / "new", task="regression", labels="multi")


def test_a_hostile_index_of_numbers_is_refused(tmp_path):
    rows = [f"{path.name},{i}" for i, path in enumerate(images(tmp_path / "source", 2))]
    (tmp_path / "source/ages.csv").write_text("\n".join(["path,age", *rows]))
    for values in ({"age": ["1"]}, {"age": [1, 2]}, {"weight": ["1", "2"]}, ["age"], None):
        packed = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        pack_dataset(tmp_path / "source", packed, task="regression")
        change_index(packed, lambda index, values=values: index.update(values=values))
        with pytest.raises(ValueError, match="is damaged"):
            read_dataset(packed)
