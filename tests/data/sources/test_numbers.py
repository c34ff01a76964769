"""Images with numbers in memory."""

from decimal import Decimal

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import load_regression_dataset, read_dataset

pytestmark = pytest.mark.one_backend


@pytest.fixture
def files(tmp_path):
    for i in range(6):
        Image.new("L", (8, 8), 30 * i).save(tmp_path / f"{i}.png")
    return [tmp_path / f"{i}.png" for i in range(6)]


def targets(data, **options):
    splits = load_regression_dataset(data, 0.4, **options)
    return splits, np.sort(
        np.concatenate([splits.train.targets, splits.validation.targets]), axis=0
    )


def test_numbers_lists_arrays_and_dicts(files):
    splits, numbers = targets([(path, np.float32(i)) for i, path in enumerate(files)])
    assert splits.class_names == ("target",)
    assert numbers[:, 0].tolist() == list(range(6))
    splits, numbers = targets([(path, np.array([i, 2.5 * i])) for i, path in enumerate(files)])
    assert splits.class_names == ("target 0", "target 1")
    assert numbers[:, 1].tolist() == [2.5 * i for i in range(6)]
    pairs = [(np.full((8, 8, 3), i, "uint8"), {"age": i, "name": "x"}) for i in range(6)]
    splits, numbers = targets(pairs)
    assert splits.class_names == ("age",)
    assert splits.train.paths[0].is_file()


def test_a_data_frame_with_splits_and_missing_numbers(files):
    pandas = pytest.importorskip("pandas")
    columns = {"path": [str(path) for path in files], "age": [1, 2, 3, 4, None, 6]}
    columns["split"] = ["train", "train", "val", "val", "train", None]
    splits = load_regression_dataset(pandas.DataFrame(columns), on_problem="fix")
    assert splits.train.targets[:, 0].tolist() == [1, 2, 6]
    assert splits.validation.targets[:, 0].tolist() == [3, 4]
    assert [problem.kind for problem in splits.problems] == ["missing number"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([("a.png", "old")], "The target of an image must be a number"),
        ([("a.png", [])], "Received: no number"),
        ([("a.png", [[1, 2]])], "must be a number, a list"),
        (["a.png"], r"must be a pair \(image, number\)"),
        ({"train": "a.png"}, "A dataset for regression must be a CSV file"),
        ("a.parquet", "There is no file a.parquet"),
        (3, "Received: int"),
    ],
)
def test_other_targets(data, message):
    with pytest.raises(ValueError, match=message):
        load_regression_dataset(data)


def test_columns_of_a_data_frame_are_those_of_a_table(files):
    """Names and an index are no targets; missing values of pandas, and decimals."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": [str(path) for path in files], "id": range(6)})
    frame["Unnamed: 0"] = range(6)
    frame["age"] = pandas.array([1, 2, 3, 4, None, 6], "Int64")
    frame["price"] = [Decimal(i) / 4 for i in range(6)]
    splits = load_regression_dataset(frame, 0.4, on_problem="fix")
    assert splits.class_names == ("age", "price")
    assert [problem.kind for problem in splits.problems] == ["missing number"]
    ages = [image.values["age"] for image in read_dataset(frame, "regression").splits["train"]]
    assert ages == ["1", "2", "3", "4", "", "6"]
    frame.columns = [*frame.columns[:-1], "age"]
    with pytest.raises(ValueError, match="several columns named 'age'"):
        load_regression_dataset(frame)
