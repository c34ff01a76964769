"""The report of a regressor."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from cspdarknet._files import OutputFolder
from cspdarknet.data import RegressionDataset
from cspdarknet.evaluate import RegressionEvaluation
from cspdarknet.reports import write_regression_report

pytestmark = pytest.mark.one_backend


def test_files_and_page(tmp_path):
    paths = []
    for i in range(5):
        Image.new("RGB", (20, 16), (40 * i, 0, 0)).save(tmp_path / f"{i}.png")
        paths.append(tmp_path / f"{i}.png")
    true = np.arange(10.0).reshape(5, 2)
    dataset = RegressionDataset(("age", "$<b>"), tuple(paths), true)
    evaluation = RegressionEvaluation(
        dataset, true + np.array([[0, 1]]), {paths[0]: "it is damaged"}
    )
    write_regression_report(OutputFolder(tmp_path / "out"), evaluation, "Title")
    for name in ("predicted.png", "residuals.png", "mistakes.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.width > 300
    content = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert content["targets"][1]["mae"] == 1
    assert content["targets"][0] == {
        **{"name": "age", "mae": 0, "mae_95_percent_interval": [0, 0], "rmse": 0},
        **{"r2": 1, "spearman": 1},
    }
    rows = list(csv.DictReader((tmp_path / "out/predictions.csv").open()))
    assert [row["predicted_age"] for row in rows] == ["0.0", "2.0", "4.0", "6.0", "8.0"]
    page = (tmp_path / "out/report.html").read_text()
    assert "$&lt;b&gt;" in page
    assert "it is damaged" in page
