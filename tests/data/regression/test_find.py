"""Loading of datasets for regression: targets, problems and splits."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import (
    RegressionDataset,
    check_dataset,
    convert_dataset,
    load_regression_dataset,
    load_regression_split,
    summary,
)

pytestmark = pytest.mark.one_backend


@pytest.fixture
def write(tmp_path):
    """Writes eight images, and a table with these rows of numbers."""
    for i in range(8):
        Image.new("RGB", (8, 8), (20 * i, 0, 0)).save(tmp_path / f"{i}.png")

    def write(*rows, header="path,age,weight"):
        rows = rows or tuple(f"{i}.png,{i / 2},{90 - i}" for i in range(8))
        (tmp_path / "pets.csv").write_text("\n".join([header, *rows]))
        return tmp_path / "pets.csv"

    return write


def test_all_columns_of_numbers_or_those_that_are_named(write):
    path = write()
    splits = load_regression_dataset(path, 0.25, seed=3)
    assert splits.train.target_names == splits.class_names == ("age", "weight")
    assert (len(splits.train), len(splits.validation)) == (6, 2)
    both = np.concatenate([splits.train.targets, splits.validation.targets])
    np.testing.assert_array_equal(np.sort(both, axis=0)[:, 0], np.arange(8) / 2)
    by_name = {
        int(p.stem): t for p, t in zip(splits.train.paths, splits.train.targets, strict=True)
    }
    assert all(tuple(numbers) == (i / 2, 90 - i) for i, numbers in by_name.items())
    one = load_regression_dataset(path, 0.25, targets=["weight"])
    assert one.train.targets.shape == (6, 1)
    other = load_regression_dataset(path, 0.25, seed=4)
    assert other.train.fingerprint != splits.train.fingerprint
    assert "2 targets: age (" in summary(splits)[1]
    with pytest.raises(ValueError, match=r"must be a list of columns\. Received: targets='age'"):
        load_regression_dataset(path, targets="age")
    with pytest.raises(ValueError, match=r"Received: height; .* has the columns age, weight"):
        load_regression_dataset(path, targets=["height"])


def test_missing_and_infinite_numbers_and_images_are_problems(write):
    numbers = ("1", "", "nan", "inf", "old", "2", "3", "4")
    path = write(*(f"{i}.png,{n}" for i, n in enumerate(numbers)), "no.png,5", header="path,age")
    with pytest.raises(ValueError, match="5 problems") as caught:
        load_regression_dataset(path)
    assert "line 3: age must be a finite number, such as 3.7. Received: ''" in str(caught.value)
    splits = load_regression_dataset(path, on_problem="fix")
    kinds = [problem.kind for problem in splits.problems]
    assert kinds == ["missing number"] * 4 + ["missing image"]
    assert len(splits.train) + len(splits.validation) == 4


def test_splits_of_the_table_and_too_little_to_learn(write):
    words = ("train", "train", "train", "val", "val", "test", "test", "train")
    path = write(*(f"{i}.png,{i},{w}" for i, w in enumerate(words)), header="path,age,split")
    splits = load_regression_dataset(path)
    assert [len(d) for d in (splits.train, splits.validation, splits.test)] == [4, 2, 2]
    split = load_regression_split(path, ["age"])
    assert (split.name, split.dataset.targets[:, 0].tolist()) == ("test", [5, 6])
    path = write(*(f"{i}.png,3,{i}" for i in range(8)))
    with pytest.raises(ValueError, match=r"age = 3 in all 6 images of the train split .*--targets"):
        load_regression_dataset(path, 0.25)
    path = write("0.png,1,1", "1.png,2,2")
    with pytest.raises(ValueError, match=r"at least 4 images.* Received: 2"):
        load_regression_dataset(path)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("1e300", "y from .* give it in another unit"),
        ("1e-12", "Numbers must have a standard deviation from 1e-06"),
        ("1000000000", "around 1000000004, .* subtract a constant"),
    ],
)
def test_numbers_that_float32_does_not_tell_apart(write, numbers, message):
    values = (float(numbers) + i if "e" not in numbers else float(numbers) * i for i in range(8))
    path = write(*(f"{i}.png,{value!r}" for i, value in enumerate(values)), header="path,y")
    with pytest.raises(ValueError, match=message):
        load_regression_dataset(path)


def test_the_check_shows_the_range_of_the_numbers(write):
    check = check_dataset(write())
    assert (check.task, check.class_names, check.stops) == ("regression", ("age", "weight"), False)
    target = check.splits["train"].targets["weight"]
    assert (target.minimum, target.median, target.maximum) == (83, 86.5, 90)
    assert check.to_json()["splits"]["train"]["targets"]["age"]["maximum"] == 3.5
    stopped = check_dataset(write(*(f"{i}.png,3,{i}" for i in range(8))))
    assert "Each target must differ" in stopped.error


def test_a_dataset_of_numbers_is_not_written_as_one_of_boxes(write, tmp_path):
    with pytest.raises(ValueError, match="regression can be written as numbers"):
        convert_dataset(write(), tmp_path / "coco", "coco")


def test_mean_and_standard_deviation():
    dataset = RegressionDataset(("a", "b"), (None, None), np.array([[1.0, 10], [3, 10]]))
    assert (dataset.mean.tolist(), dataset.std.tolist()) == ([2, 10], [1, 0])
    assert dataset.take([1]).targets.tolist() == [[3, 10]]
